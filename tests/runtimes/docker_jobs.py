"""A Docker Engine's containers, for the contract of runtimes: jobs that do nothing until they are told to end."""

from __future__ import annotations

import io
import shutil
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker

from local.docker.daemon import Dockerd
from tests.contracts.job_runtime import Step, a_task, go_on
from turnout.adapters.system_clock import SystemClock
from turnout.core.images import Images
from turnout.core.messages import TaskRequested
from turnout.core.model import Runtime
from turnout.gateway import Passes
from turnout.runtimes.docker import DockerRuntime, DockerSettings, connect

IMAGE = "turnout-test/waits:1"
_LOCAL = frozenset({"create_host_config"})  # asks the engine for nothing
JOB = "trap 'exit 143' TERM; echo begun; until [ -s /tmp/end ]; do sleep 0.05; done; exit $(cat /tmp/end)"
DOCKERFILE = f"""\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
ENTRYPOINT ["/bin/sh", "-c", "{JOB}"]
"""


def make_image(client: docker.APIClient, tag: str = IMAGE, dockerfile: str = DOCKERFILE) -> None:
    """From the busybox of this machine, without pulling anything."""
    busybox = Path(shutil.which("busybox") or "/bin/busybox")
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content, mode in (
            ("Dockerfile", dockerfile.encode(), 0o644),
            ("busybox", busybox.read_bytes(), 0o755),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    context.seek(0)
    said = list(client.build(fileobj=context, custom_context=True, tag=tag, rm=True, decode=True))
    problems = [each["error"] for each in said if "error" in each]
    assert not problems, problems


def _cut_off_all(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return  # it is over


class Stepping:
    """A client that calls ``step`` before each question that it asks the engine."""

    def __init__(self, client: docker.APIClient, step: Step) -> None:
        self._client = client
        self._step = step

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found) or name in _LOCAL:
            return found

        def ask(*given: Any, **named: Any) -> Any:
            self._step(name)
            return found(*given, **named)

        return ask


class DockerJobs:
    kind = Runtime.DOCKER
    patience = 40.0
    begins = True

    def __init__(self, dockerd: Dockerd, settings: DockerSettings | None = None) -> None:
        self._dockerd = dockerd
        self._settings = settings or DockerSettings(owner="tests", pull="never")
        self._clients: list[docker.APIClient] = []
        self._began = f"{time.time():.6f}"  # the tests share names, and an engine
        self.client = self._client()

    def close(self) -> None:
        for each in self.client.containers(all=True, filters={"label": "turnout.owner=tests"}):
            self.client.remove_container(each["Id"], v=True, force=True)
        for client in self._clients:
            client.close()

    def open(self, step: Step = go_on, settings: DockerSettings | None = None) -> DockerRuntime:
        return DockerRuntime(
            Images(named={"script": IMAGE, "other": "turnout-test/nobody-has-it:1"}),
            Passes("http://gateway.example.org/gateway", b"key", SystemClock()),
            settings or self._settings,
            connect=self._connecting(step),
        )

    def begun(self, attempt: str) -> int:
        """By the engine's own record of what it started."""
        events: Any = self.client.events  # takes fractions of seconds, too
        said = events(
            since=self._began,
            until=f"{time.time():.6f}",
            decode=True,
            filters={"event": "start", "container": self.open().name(attempt)},
        )
        return len(list(said))

    def begin(self, attempt: str) -> None:
        raise AssertionError("the engine begins them by itself")

    def end(self, attempt: str, *, status: int = 0) -> None:
        assert self.inside(attempt, "sh", "-c", f"echo {status} > /tmp/end") == ""

    def environment(self, attempt: str) -> Mapping[str, str]:
        text = self.inside(attempt, "cat", "/proc/1/environ")
        found = dict(each.split("=", 1) for each in text.split("\0") if each)
        return {name: value for name, value in found.items() if name not in ("PATH", "HOSTNAME", "HOME")}

    @contextmanager
    def away(self) -> Iterator[None]:
        """Whoever connects is cut off. (Where nobody listens, docker-py leaves its socket open for the collector.)"""
        place = Path(self._dockerd.host.removeprefix("unix://"))
        hidden = place.with_suffix(".away")
        place.rename(hidden)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
            listener.listen()
            cutting = threading.Thread(target=_cut_off_all, args=(listener,))
            cutting.start()
            try:
                for client in self._clients:
                    client.close()  # what it has open, it would go on with
                yield
            finally:
                hidden.rename(place)
                listener.shutdown(socket.SHUT_RDWR)
                cutting.join()

    def refused(self) -> TaskRequested | None:
        return a_task(self.kind, "refused", agent="other")

    def inspected(self, attempt: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.inspect_container(self.open().name(attempt))
        return found

    def inside(self, attempt: str, *argv: str) -> str:
        """What a command in its container writes."""
        exec_id = self.client.exec_create(self.open().name(attempt), list(argv))["Id"]
        said: bytes = self.client.exec_start(exec_id)
        return said.decode()

    def _client(self) -> docker.APIClient:
        made = connect(self._dockerd.environ)
        self._clients.append(made)
        return made

    def _connecting(self, step: Step) -> Callable[[], Any]:
        def make() -> Any:
            step("connect")
            return Stepping(self._client(), step)

        return make
