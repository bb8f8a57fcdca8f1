"""The docker runtime: each attempt in a container of its own, on the engine that ``DOCKER_HOST`` names.

The container's name is derived from the attempt, so the engine itself refuses a second one. It is kept when its job has
ended, for longer than a task's record can come again, and removed by a later launch.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from turnout.core.errors import PermanentError, TransientError, TurnoutError
from turnout.core.images import Images
from turnout.core.messages import TaskRequested
from turnout.core.ports import JobState
from turnout.gateway import Passes
from turnout.runtimes.docker_state import state_of

if TYPE_CHECKING:
    from docker import APIClient

Pull = Literal["missing", "always", "never"]
KEPT = 14 * 24 * 3600.0  # seconds after its end; longer than a task's record can come again
PRUNE_EVERY = 3600.0  # seconds
GRACE = 30  # seconds from the order to end to the end
UNDO = 15 * 60  # seconds more for what deploys: it rolls back what it was about to do
ANSWER_WITHIN = 30  # seconds
LAST_LINES = 20
SCRATCH = "/var/tmp"  # noqa: S108 - on the engine's disk; every Debian image has it, open to all
HOST_ALIAS = "host.docker.internal"
_TMPFS = "rw,exec,nosuid,nodev,mode=1777,size={size}"
_MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class DockerSettings:
    """``memory`` and ``tmp`` in bytes, 0: no limit; ``cpus`` in cores. ``memory`` and ``cpus`` are for tasks that ask
    for none. ``owner``: which Turnout of those that share an engine. ``network`` empty: the engine's default one.
    """

    network: str = ""
    pull: Pull = "missing"
    user: str = "10001:10001"
    memory: int = 0
    cpus: float = 0.0
    pids: int = 4096
    tmp: int = 512 * 1024 * 1024
    owner: str = ""


def connect(environ: Mapping[str, str] = os.environ) -> APIClient:
    """The engine by ``DOCKER_HOST``, ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``; registries by docker's own
    configuration. Raises: PermanentError, TransientError."""
    import docker
    from docker.utils import kwargs_from_env

    with asking("the Docker Engine can't be reached"):
        given = kwargs_from_env(environment=dict(environ))
        ssh = str(given.get("base_url", "")).startswith("ssh://")
        return docker.APIClient(version="auto", timeout=ANSWER_WITHIN, use_ssh_client=ssh, **given)


class DockerRuntime:
    """``connect``: gives a client of one thread's own."""

    def __init__(
        self,
        images: Images,
        passes: Passes,
        settings: DockerSettings | None = None,
        *,
        connect: Callable[[], Any] = connect,
    ) -> None:
        self._images = images
        self._passes = passes
        self._settings = settings or DockerSettings()
        self._connect = connect
        self._local = threading.local()
        self._prune_at = 0.0

    def launch(self, task: TaskRequested) -> bool:
        """Returns when its container is started; False: it was launched before.

        Two launches at the same instant may both start the same container; the engine does it once, or, where the job
        ended in between, once more: then the gateway sends the second one away.
        """
        engine, name = self._engine, self.name(task.attempt)
        image = self._images.of(task.agent)
        for _ in range(_MOST_TRIES):
            with asking(f"no container could be made for attempt {task.attempt}"):
                created = self._create(engine, task, image, name)
            with asking(f"the container {name} can't be looked at"):
                found = _inspected(engine, name)
            if found is None:
                continue  # removed in between
            if found["Config"]["Labels"].get("turnout.attempt") != task.attempt:
                raise PermanentError(
                    f"a container called {name} is not of attempt {task.attempt}", "rename or remove it"
                )
            if not created and found["State"]["Status"] != "created":
                return False
            with asking(f"the container of attempt {task.attempt} could not be started"):
                engine.start(name)
            self._prune(engine)
            return True
        raise TransientError(f"the container {name} disappears as soon as it is made")

    def cancel(self, attempt: str) -> None:
        """It is told to end, and killed when its grace is over. Returns when it has ended, or after half a minute."""
        from requests.exceptions import ReadTimeout

        name = self.name(attempt)
        with asking(f"the container {name} could not be stopped"):
            found = _inspected(self._engine, name)
            if found is None:
                return
            if found["State"]["Status"] == "created":
                _remove(self._engine, name)
            elif found["State"]["Running"]:
                try:
                    self._engine.stop(name)  # after the grace that it was made with
                except ReadTimeout:
                    pass  # the engine goes on with it, also when nobody waits for the answer

    def state(self, attempt: str) -> JobState:
        name = self.name(attempt)
        with asking(f"the container {name} can't be looked at"):
            found = _inspected(self._engine, name)
            if found is None:
                return JobState("unknown")
            said = b""
            if found["State"]["Status"] in ("exited", "dead") and found["State"]["ExitCode"] != 0:
                said = self._said(name)
            return state_of(found, said)

    def name(self, attempt: str) -> str:
        owner = f"{self._settings.owner}-" if self._settings.owner else ""
        return f"turnout-{owner}{attempt}"

    @property
    def _engine(self) -> Any:
        if not hasattr(self._local, "engine"):
            self._local.engine = self._connect()
        return self._local.engine

    def _create(self, engine: Any, task: TaskRequested, image: str, name: str) -> bool:
        """False: there is one of this name. Raises: PermanentError, and what the engine says."""
        from docker.errors import APIError, ImageNotFound

        if self._settings.pull == "always" and _inspected(engine, name) is None:
            self._pull(engine, image)
        wanted = self._wanted(engine, task)
        for pulled in (False, True):
            try:
                engine.create_container(image, name=name, **wanted)
                return True
            except ImageNotFound as error:
                if pulled or self._settings.pull != "missing":
                    raise _no_image(image, task.agent, self._settings.pull) from error
                self._pull(engine, image)
            except APIError as error:
                if error.status_code == 409:
                    return False
                raise
        raise AssertionError("unreachable")

    def _wanted(self, engine: Any, task: TaskRequested) -> dict[str, Any]:
        s, environ = self._settings, self._passes.environment(task)
        memory, cpus = task.resources.memory or s.memory, task.resources.cpu or s.cpus
        limits: dict[str, Any] = {"pids_limit": s.pids}
        if memory:
            limits |= {"mem_limit": memory, "memswap_limit": memory}
        if cpus:
            limits["nano_cpus"] = int(cpus * 1e9)
        if HOST_ALIAS in environ["TURNOUT_GATEWAY_URL"] and s.network != "host":
            limits["extra_hosts"] = {HOST_ALIAS: "host-gateway"}
        if s.network:
            limits["network_mode"] = s.network
        return {
            "environment": environ,
            "use_config_proxy": False,  # the engine's user may have a proxy with a password
            "user": s.user,
            "stop_timeout": GRACE + (UNDO if task.environment else 0),
            "labels": {
                "turnout.attempt": task.attempt,
                "turnout.run": task.run,
                "turnout.task": task.task,
                "turnout.agent": task.agent,
                "turnout.project": task.project,
                "turnout.owner": s.owner,
            },
            "host_config": engine.create_host_config(
                read_only=True,
                tmpfs={"/tmp": _TMPFS.format(size=s.tmp)},  # noqa: S108 - the container's own
                mounts=[{"Type": "volume", "Target": SCRATCH}],
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                restart_policy={"Name": "no"},
                log_config={"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}},
                **limits,
            ),
        }

    def _pull(self, engine: Any, image: str) -> None:
        """Raises: PermanentError where the registry refuses, TransientError where it is away."""
        from docker.errors import NotFound
        from docker.utils import parse_repository_tag

        repository, tag = parse_repository_tag(image)
        try:
            for line in engine.pull(repository, tag or "latest", stream=True, decode=True):
                if "error" in line:
                    raise _not_pulled(image, str(line["error"]))
        except NotFound as error:
            raise _not_pulled(image, str(error.explanation)) from error

    def _said(self, name: str) -> bytes:
        """The last lines; none where the engine's way of keeping logs can't be read."""
        from docker.errors import APIError

        try:
            said: bytes = self._engine.logs(name, tail=LAST_LINES)
        except APIError:
            return b""
        return said

    def _prune(self, engine: Any) -> None:
        """Now and then: containers of ours that ended long ago. What goes wrong there is no reason not to launch."""
        now = time.time()
        if now < self._prune_at:
            return
        self._prune_at = now + PRUNE_EVERY
        filters = {"label": f"turnout.owner={self._settings.owner}", "status": ["exited", "dead", "created"]}
        try:
            with asking("old containers could not be removed"):
                for each in engine.containers(all=True, filters=filters):
                    found = _inspected(engine, each["Id"]) if each["Created"] < now - KEPT else None
                    if found is None:
                        continue
                    ended = state_of(found).since or datetime.fromtimestamp(each["Created"], UTC)
                    if ended.timestamp() < now - KEPT:
                        _remove(engine, each["Id"])
        except TurnoutError:
            pass


def _inspected(engine: Any, name: str) -> dict[str, Any] | None:
    """None: there is no such container."""
    from docker.errors import NotFound

    try:
        found: dict[str, Any] = engine.inspect_container(name)
    except NotFound:
        return None
    return found


def _remove(engine: Any, name: str) -> None:
    """With its volume, unless it runs; nothing where it is gone, or going."""
    from docker.errors import APIError

    try:
        engine.remove_container(name, v=True)
    except APIError as error:
        if error.status_code not in (404, 409):
            raise


def _no_image(image: str, agent: str, pull: Pull) -> PermanentError:
    how = "build it there (make images)" if pull == "never" else "push it, or name another one"
    return PermanentError(
        f"the Docker Engine has no image {image} for the agent {agent}", f"{how}; see TURNOUT_AGENT_IMAGES"
    )


def _not_pulled(image: str, said: str) -> TurnoutError:
    message = f"the image {image} could not be pulled: {said}"
    refused = ("not found", "denied", "unauthorized", "manifest unknown", "does not exist", "no basic auth")
    if any(each in said.lower() for each in refused):
        return PermanentError(
            message, "look at TURNOUT_AGENT_IMAGES, and log the engine's user in: docker login"
        )
    return TransientError(message)


@contextmanager
def asking(what: str) -> Iterator[None]:
    """What the client raises, as ours. ``what`` went wrong."""
    from docker.errors import APIError, DockerException, TLSParameterError
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except APIError as error:
        said = f"{what}: {error.explanation or error}"
        if error.status_code is not None and 400 <= error.status_code < 500 and error.status_code != 429:
            raise PermanentError(
                said, "look at the TURNOUT_DOCKER_ settings and at the agent's image"
            ) from error
        raise TransientError(said, "look at the engine's own log") from error
    except TLSParameterError as error:
        raise PermanentError(f"{what}: {error}", "look at DOCKER_CERT_PATH") from error
    except (RequestException, HTTPError, DockerException, OSError) as error:
        raise TransientError(
            f"{what}: {_short(error)}", "start it, or look at DOCKER_HOST and who may use it"
        ) from error


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
