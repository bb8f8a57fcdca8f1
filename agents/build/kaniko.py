"""kaniko: builds in a container, without an engine and without a privilege.

Its executor stands in the image that the agent runs in (``agents/build/kaniko.Dockerfile``). Steps of a build run as
the agent's own user, root, with its network: that cannot be changed in here, so a stage that asks for no network and a
change from a fork are not built with it. Source: kaniko 1.24, README and pkg/executor.
"""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path

from agents.build.asked import Asked, BuildFailed, Built
from agents.build.kaniko_room import CONTEXT, DIGEST, EXECUTOR, LAYOUT, contained, rights, room
from agents.build.naming import DIGEST as DIGEST_PATTERN
from agents.build.wording import Wrong, last_words, read_wrong, reason
from agents.sdk.inside import read_inside
from agents.sdk.operator_build import KANIKO
from agents.sdk.workspace import AgentError, ToolRun, Workspace
from turnout.core.errors import TransientError
from turnout.runtimes.sandbox import NoSandbox

_VERSION = re.compile(rb"v(\d+\.\d+\.\d+\S*)")
_PASSED = frozenset({"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"})
# Source: kaniko 1.24, cmd/executor/cmd/root.go and pkg/executor/build.go.
_STEP = re.compile(
    r"failed to execute command|error building stage: |parsing dockerfile|error resolving dockerfile"
)
_PUSH = re.compile(r"^error (?:checking push permissions|pushing image)", re.IGNORECASE)


def missing(asked: Asked) -> str:
    executor = _executor(asked)
    if not executor.is_file() or not os.access(executor, os.X_OK):
        return f"there is no {executor} (run the agent in the image of agents/build/kaniko.Dockerfile)"
    if not contained():
        return "it overwrites the root that it runs in: it is for containers only, and this is none"
    if why := rights():
        return why
    if asked.options.platforms:
        return f"it builds for this machine's platform only, not for {', '.join(asked.options.platforms)}"
    if not asked.network:
        return "it cannot keep the steps of a build from the network: write `network: true`, or use another backend"
    if not asked.task.trusted:
        return "a change from a fork is not built with it: a step of the build can reach what the agent holds"
    return ""


def build(workspace: Workspace, asked: Asked) -> Built:
    """Raises: as `agents.build.asked.Backend` says; TransientError for what may pass."""
    place = workspace.scratch / "kaniko"
    with room(place, _executor(asked), workspace.path, asked.access.auth_file()) as root:
        version = _VERSION.search(_run(workspace, root, ["version"], quiet=True).stderr)
        ran = _run(workspace, root, arguments(asked))
        if not ran.ok:
            _stop(ran)
        digest = (read_inside(root, DIGEST.lstrip("/"), 1024) or b"").decode("ascii", "replace").strip()
        if not DIGEST_PATTERN.fullmatch(digest):
            raise AgentError(f"kaniko has built {ascii(digest)[:100]}, which is no digest")
        if asked.archive is not None:
            with tarfile.open(asked.archive, "w") as tar:
                for each in sorted((root / LAYOUT.lstrip("/")).iterdir()):
                    tar.add(each, each.name)
    return Built(
        digest=digest if asked.references else "",
        tools={"kaniko": version[1].decode() if version else ""},
        archived=asked.archive is not None,
    )


def arguments(asked: Asked) -> list[str]:
    """The executor's. Nothing secret is on it, save what the pipeline file itself has in ``build_args``."""
    options = asked.options
    words = ["--context", f"dir://{CONTEXT}", "--dockerfile", f"{CONTEXT}/{asked.dockerfile}"]
    if asked.context != ".":
        words += ["--context-sub-path", asked.context]
    words += ["--force", "--reproducible", "--digest-file", DIGEST, "--log-format", "text"]
    for reference in asked.references:
        words += ["--destination", reference]
    if not asked.references:
        words.append("--no-push")
    if asked.archive is not None:
        words += ["--oci-layout-path", LAYOUT]
    if isinstance(options.cache, str) and asked.references:
        words += ["--cache=true", "--cache-copy-layers", "--cache-repo", options.cache]
    if options.target:
        words += ["--target", options.target, "--skip-unused-stages"]
    for name, value in sorted(options.build_args.items()):
        words += ["--build-arg", f"{name}={value}"]
    for name, value in asked.labels.items():
        words += ["--label", f"{name}={value}"]
    plain = set(asked.access.insecure)
    if asked.name is not None and asked.access.plain(asked.name):
        plain.add(asked.name.registry)
    for registry in sorted(plain):
        words += ["--insecure-registry", registry]
    return words


def _run(workspace: Workspace, root: Path, words: list[str], *, quiet: bool = False) -> ToolRun:
    """What it says on its standard output goes to the log, too, and comes back among the errors."""
    env = {
        "HOME": "/root",
        "TMPDIR": "/kaniko/tmp",
        "DOCKER_CONFIG": "/kaniko/.docker",
        "SSL_CERT_DIR": "/kaniko/ssl/certs",
        "container": "docker",
        **{name: value for name, value in os.environ.items() if name.upper() in _PASSED},
    }
    argv = ["/bin/sh", "-c", 'exec chroot "$@" 1>&2', "kaniko", str(root), EXECUTOR, *words]
    held = NoSandbox("kaniko's room is a root of its own in the agent's container", None)
    return workspace.run_in(held, argv, env=env, network=True, capture=True, quiet=quiet)


def _executor(asked: Asked) -> Path:
    return Path(asked.settings.get(KANIKO, EXECUTOR))


def _stop(ran: ToolRun) -> None:
    """Raises: what fits."""
    if ran.oom_killed or ran.signal == 9:
        raise BuildFailed("the build ran out of memory: give the stage more `resources.memory`")
    words = last_words(ran.stderr)
    said = reason(ran.stderr) or f"exit code {ran.code}"
    wrong = read_wrong(ran.stderr)
    if "failed to execute command" in words and wrong is not Wrong.NO_ROOM:
        wrong = Wrong.THEIRS
    match wrong:
        case Wrong.NO_ROOM:
            raise TransientError(f"the image could not be built: {said}", "make room on the agents' disk")
        case Wrong.AWAY:
            raise TransientError(said, "is the registry there, and reachable from the agent's container?")
        case Wrong.REFUSED:
            raise AgentError(
                said,
                "name REGISTRY_USERNAME and REGISTRY_PASSWORD (or DOCKER_AUTH_CONFIG) among the stage's secrets",
            )
        case Wrong.UNKNOWN_IMAGE:
            raise AgentError(
                said, "look at the image's name in the Dockerfile's FROM; the registry does not have it"
            )
        case Wrong.NO_TLS:
            raise AgentError(said, "give the registry a certificate, or let whoever runs the agents list it")
        case _:
            if _PUSH.search(words) or not _STEP.search(words):
                raise AgentError(said, "see the log for its words")
            raise BuildFailed(f"the image could not be built: {said}")
