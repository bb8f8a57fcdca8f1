"""The check after a rollout: an address that answers, or a command. Both run in the sandbox."""

from __future__ import annotations

from agents.deploy.cluster import Cluster
from agents.deploy.options import Verify
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.durations import format_duration

# Asks until it is satisfied. No redirection is followed: a status is what was asked for.
_ASK = """
import http.client, ssl, sys, time, urllib.parse
url, wanted, within, pause = sys.argv[1], sys.argv[2].split(","), float(sys.argv[3]), float(sys.argv[4])
to = urllib.parse.urlsplit(url)
path = (to.path or "/") + ("?" + to.query if to.query else "")
until = time.monotonic() + within
last = ""
while True:
    left = max(1.0, until - time.monotonic())
    try:
        if to.scheme == "https":
            ask = http.client.HTTPSConnection(to.netloc, timeout=min(10.0, left), context=ssl.create_default_context())
        else:
            ask = http.client.HTTPConnection(to.netloc, timeout=min(10.0, left))
        ask.request("GET", path, headers={"User-Agent": "turnout-deploy", "Connection": "close"})
        said = str(ask.getresponse().status)
        ask.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    if said != last:
        print(f"GET {url}: {said}", flush=True)
        last = said
    if said in wanted or time.monotonic() + pause > until:
        print("yes" if said in wanted else "no")
        break
    time.sleep(pause)
"""


def failing(cluster: Cluster, asked: Verify, secrets: tuple[str, ...]) -> str:
    """Why the check does not hold; empty: it does. ``secrets``: of the stage; those of the cluster are held back.

    Raises: AgentError when it could not be done.
    """
    workspace = cluster.workspace
    given = tuple(name for name in secrets if name not in cluster.access.secrets)
    limit = format_duration(asked.timeout)
    if asked.command:
        ran = workspace.run(["sh", "-c", asked.command], timeout=asked.timeout, secrets=given)
        if ran.timed_out:
            return f"the check had not ended after {limit}"
        return "" if ran.ok else f"the check ended with {_how(ran.code, ran.signal)}"
    ran = workspace.run(
        [
            _python(workspace), "-I", "-c", _ASK, str(asked.url), ",".join(map(str, asked.status)),
            str(asked.timeout), str(asked.interval),
        ],
        timeout=asked.timeout + 15.0,
        network=True,
        capture=True,
        quiet=True,
        secrets=(),
    )  # fmt: skip
    *lines, verdict = ran.stdout.decode(errors="replace").splitlines() or [""]
    for line in lines:
        workspace.log(line)
    if ran.ok and verdict == "yes":
        return ""
    last = lines[-1].partition(": ")[2] if lines else ""
    wanted = " or ".join(map(str, asked.status))
    return f"{asked.url} did not answer {wanted} within {limit}; the last answer was {last or 'none'}"


def _how(code: int | None, signal: int | None) -> str:
    return f"exit code {code}" if code is not None else f"signal {signal}"


def _python(workspace: Workspace) -> str:
    found = workspace.which("python3") or workspace.which("python")
    if found is None:
        raise AgentError("there is no Python where this stage's tools run", "use with.verify.command")
    return found
