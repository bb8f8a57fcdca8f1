"""Docker: builds on an engine that whoever runs the agents has given them.

The engine is trusted, and builds with its own rights; see docs/agents-build.md. Its classic builder, which every engine
has, over the Engine API. Registry credentials come from the stage's secrets alone: neither the configuration of a user
of this machine nor its credential helpers are read.
Source: Docker Engine API 1.41, "Build an image", "Push an image", "Export an image".
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.build.asked import Asked, BuildFailed, Built
from agents.build.blame import blame
from agents.build.naming import DIGEST
from agents.build.registry_access import Access, as_written
from agents.build.wording import Wrong, read_wrong, reason
from agents.sdk.operator_build import DOCKER_HOST
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.errors import TransientError

if TYPE_CHECKING:
    from docker import APIClient

USUAL = "/var/run/docker.sock"
CONNECT = 10  # seconds
SILENCE = 3600  # seconds that a step of a build may say nothing; the attempt's own timeout comes first
_KILLED = "non-zero code: 137"


def missing(asked: Asked) -> str:
    """Why it cannot build this; empty: it can."""
    if asked.options.platforms:
        return f"it builds for its engine's platform only, not for {', '.join(asked.options.platforms)}"
    host = _host(asked)
    if not host:
        return f"there is no Docker Engine at {USUAL}, and {DOCKER_HOST} names none"
    try:
        with _engine(host, asked.access, CONNECT) as engine:
            engine.ping()
    except (TransientError, AgentError) as error:
        return error.message
    return ""


def build(workspace: Workspace, asked: Asked) -> Built:
    """Raises: as `agents.build.asked.Backend` says; TransientError for what may pass."""
    remarks: list[str] = []
    if asked.cpus:
        remarks.append(
            "docker's builder does not limit processor time: `resources.cpu` is for the agent only"
        )
    local = f"turnout/{hashlib.sha256(asked.task.project.encode()).hexdigest()[:20]}"
    local += "" if asked.task.trusted else "-untrusted"
    with _engine(_host(asked), asked.access, SILENCE) as engine:
        version = str(engine.version().get("Version", ""))
        _built(workspace, engine, asked, local)
        digest = ""
        for reference in asked.references:
            digest = _pushed(workspace, engine, asked, local, reference, digest)
        if asked.archive is not None:
            _archived(engine, local, asked.archive)
    return Built(digest, {"docker": version}, tuple(remarks), archived=asked.archive is not None)


def _host(asked: Asked) -> str:
    return asked.settings.get(DOCKER_HOST, "") or (f"unix://{USUAL}" if Path(USUAL).is_socket() else "")


@contextmanager
def _engine(host: str, access: Access, timeout: int) -> Iterator[APIClient]:
    """Raises: TransientError when it is not there, or goes away meanwhile; AgentError when it refuses."""
    from docker import APIClient
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    class Engine(APIClient):
        def _set_auth_headers(self, headers: dict[str, str]) -> None:
            """In place of what a user of this machine is logged in to."""
            headers["X-Registry-Config"] = _header(
                {
                    as_written(registry): _login(login.username, login.password)
                    for registry, login in access.logins.items()
                }
            )

    try:
        engine = Engine(base_url=host, timeout=timeout, version="auto")
    except DockerException as error:
        raise TransientError(f"no Docker Engine answers at {host}: {_short(error)}") from error
    try:
        yield engine
    except APIError as error:  # of both kinds below
        raise AgentError(
            f"the Docker Engine at {host} refuses: {reason(str(error.explanation).encode())}"
        ) from error
    except RequestException as error:
        raise TransientError(f"the Docker Engine at {host} went away: {_short(error)}") from error
    except DockerException as error:
        raise AgentError(f"the Docker Engine at {host} cannot be used: {_short(error)}") from error
    finally:
        engine.close()


def _built(workspace: Workspace, engine: APIClient, asked: Asked, local: str) -> None:
    from docker.errors import APIError

    options = asked.options
    try:
        events = engine.build(
            path=str(workspace.path / asked.context),
            dockerfile=str(workspace.path / asked.dockerfile),
            tag=f"{local}:latest",
            rm=True,
            forcerm=True,
            pull=True,
            nocache=options.cache is False,
            decode=True,
            buildargs=dict(sorted(options.build_args.items())),
            labels=dict(asked.labels),
            target=options.target or None,
            network_mode="default" if asked.network else "none",
            container_limits={"memory": asked.memory, "memswap": asked.memory} if asked.memory else {},
            cache_from=[options.cache] if isinstance(options.cache, str) else None,
            use_config_proxy=False,
        )
        problem = _followed(workspace, events)
    except APIError as error:  # what is no Dockerfile at all, it says before it begins
        problem = reason(str(error.explanation).encode())
    if problem:
        said = f"the image could not be built: {problem}"
        if _KILLED in problem and asked.memory:
            raise BuildFailed(
                f"a step of the build ran out of memory, give the stage more `resources.memory`: {problem}"
            )
        blame(_read(problem), said)


def _pushed(
    workspace: Workspace, engine: APIClient, asked: Asked, local: str, reference: str, before: str
) -> str:
    """The digest under which it was pushed."""
    assert asked.name is not None
    repository, _, tag = reference.rpartition(":")
    login = asked.access.login(asked.name.registry)
    engine.tag(f"{local}:latest", repository, tag)
    digests: list[str] = []
    events = engine.push(
        repository, tag=tag, stream=True, decode=True,
        auth_config=_login(login.username, login.password) if login else {"username": ""},
    )  # fmt: skip
    problem = _followed(workspace, events, digests)
    engine.remove_image(reference, noprune=True)  # its name: the layers stay, for the next build
    if problem:
        blame(_read(problem), f"{reference} could not be pushed: {problem}")
    digest = digests[-1] if digests else ""
    if not DIGEST.fullmatch(digest) or before not in ("", digest):
        raise AgentError(
            f"docker pushed {reference} as {digest or 'nothing'}, and said {before or 'nothing'} before"
        )
    return digest


def _archived(engine: APIClient, local: str, archive: Path) -> None:
    with archive.open("wb") as file:
        for piece in engine.get_image(f"{local}:latest"):
            file.write(piece)


def _followed(
    workspace: Workspace, events: Iterable[Mapping[str, Any]], digests: list[str] | None = None
) -> str:
    """What went wrong; empty: nothing. What the engine says goes to the log, without its progress bars."""
    for event in events:
        if "error" in event:
            return reason(str(event["error"]).encode())
        if digests is not None and isinstance(event.get("aux"), dict) and "Digest" in event["aux"]:
            digests.append(str(event["aux"]["Digest"]))
        said = str(
            event.get("stream") or ("" if event.get("progressDetail") else event.get("status", ""))
        ).rstrip()
        if said:
            workspace.log(f"{event['id']}: {said}" if "id" in event and "stream" not in event else said)
    return ""


def _read(problem: str) -> Wrong:
    return read_wrong(f"Error: {problem}".encode())


def _login(username: str, password: str) -> dict[str, str]:
    return {"username": username, "password": password}


def _header(content: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def _short(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:300]
