"""buildah: builds without a daemon, each step in a container of runc's.

Source: buildah-build(1), buildah-push(1), version 1.28.
"""

from __future__ import annotations

import os
import re
from typing import NoReturn

from agents.build import builder
from agents.build.asked import Asked, BuildFailed, Built
from agents.build.blame import blame
from agents.build.builder import Builder
from agents.build.naming import DIGEST
from agents.build.wording import Wrong, killed, no_room, read_wrong, reason
from agents.sdk.inside import read_inside
from agents.sdk.workspace import AgentError, ToolRun, Workspace

LOCAL = "localhost/turnout"
"""The newest image of a project, in its storage. What it named before stays as layers for the next build."""
CPU_PERIOD = 100_000  # microseconds
LITTLE_ROOM = 1024**3
"""Bytes. With more than that left once the step's container is gone, it was the step that wrote too much."""
_VERSION = re.compile(rb"\d+(?:\.\d+)+")


def missing(asked: Asked) -> str:
    """Why it cannot build this; empty: it can."""
    if asked.options.platforms:
        return f"it builds for this machine's platform only, not for {', '.join(asked.options.platforms)}"
    return builder.missing()


def build(workspace: Workspace, asked: Asked) -> Built:
    """Raises: as `agents.build.asked.Backend` says; TransientError for what may pass (no room, a registry away)."""
    if asked.network and asked.near and not builder.shares_network():
        raise AgentError(
            "the steps of this build would reach every service on this machine's loopback, where its registry is",
            "leave out `network: true`, push to a registry at another address, or set TURNOUT_SANDBOX_NETWORK=host",
        )
    with builder.builder(workspace, asked) as here:
        _built(here, asked)
        digest = ""
        for reference in asked.references:
            digest = _pushed(here, asked, reference, digest)
        if asked.archive is not None:
            _archived(here, asked)
        version = _VERSION.search(
            here.run(builder.program("buildah"), "--version", secret=False, quiet=True, capture=True).stdout
        )
    tools = {"buildah": version[0].decode() if version else ""}
    return Built(digest=digest, tools=tools, archived=asked.archive is not None)


def _built(here: Builder, asked: Asked) -> None:
    ran = here.run(*arguments(asked, str(here.results / "id")))
    if ran.ok:
        return
    if ran.oom_killed or killed(ran.stderr):
        raise BuildFailed(
            f"a step of the build ran out of memory, give the stage more `resources.memory`: {reason(ran.stderr)}"
        )
    if no_room(ran.stderr) and _free(here) < LITTLE_ROOM:
        _stop(Wrong.NO_ROOM, ran, "the image could not be built")
    _stop(read_wrong(ran.stderr), ran, "the image could not be built")


def _free(here: Builder) -> int:
    found = os.statvfs(here.storage)
    return found.f_bavail * found.f_frsize


def arguments(asked: Asked, id_file: str) -> list[str]:
    """buildah's command line. Nothing secret is on it, save what the pipeline file itself has in ``build_args``."""
    options = asked.options
    words = [builder.program("buildah"), "build", "--format", "oci", "--pull-always", "--iidfile", id_file]
    words += ["--tag", LOCAL, "--timestamp", str(asked.committed), "--file", asked.dockerfile]
    words += ["--network", "host" if asked.network else "none", f"--http-proxy={str(asked.network).lower()}"]
    if asked.memory:
        words += ["--memory", str(asked.memory), "--memory-swap", str(asked.memory)]
    if asked.cpus:
        words += [
            "--cpu-period",
            str(CPU_PERIOD),
            "--cpu-quota",
            str(max(1000, round(asked.cpus * CPU_PERIOD))),
        ]
    words += ["--layers"] if options.cache is not False else ["--no-cache", "--layers=false"]
    if isinstance(options.cache, str):
        words += ["--cache-from", options.cache, *(["--cache-to", options.cache] if asked.name else [])]
    words += asked.what
    return [*words, "--", asked.context]


def _pushed(here: Builder, asked: Asked, reference: str, before: str) -> str:
    """The digest under which it was pushed. Raises: AgentError; TransientError when the registry went away."""
    words = ["push", "--format", "oci", "--digestfile", str(here.results / "digest")]
    if asked.name is not None and asked.access.plain(asked.name):
        words.append("--tls-verify=false")
    ran = here.run(builder.program("buildah"), *words, "--", LOCAL, f"docker://{reference}")
    if not ran.ok:
        _stop(read_wrong(ran.stderr), ran, f"{reference} could not be pushed")
    digest = (read_inside(here.results, "digest", 1024) or b"").decode("ascii", "replace").strip()
    if not DIGEST.fullmatch(digest) or before not in ("", digest):
        raise AgentError(
            f"buildah pushed {reference} as {ascii(digest)[:100]}, and said {before or 'nothing'} before"
        )
    return digest


def _archived(here: Builder, asked: Asked) -> None:
    assert asked.archive is not None
    ran = here.run(
        builder.program("buildah"), "push", "--format", "oci", "--", LOCAL, f"oci-archive:{here.results}/image.tar",
        secret=False, quiet=True,
    )  # fmt: skip
    if not ran.ok:
        _stop(read_wrong(ran.stderr), ran, "the image could not be written to an archive")
    (here.results / "image.tar").rename(asked.archive)


def _stop(wrong: Wrong, ran: ToolRun, what: str) -> NoReturn:
    blame(wrong, f"{what}: {reason(ran.stderr) or _how(ran)}")


def _how(ran: ToolRun) -> str:
    return f"signal {ran.signal}" if ran.code is None else f"exit code {ran.code}"
