"""Cloud Run's side of a function: an address, who is let in, and instances that come and go behind it.

An instance that ends is replaced when the next request comes; a request that it had is answered with 503, as Cloud Run
does.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.google.accounts import Accounts
from local.loopback import Loopback
from local.server_process import free_port
from tests.waiting import wait_until

HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "x-serverless-authorization"})
READY = 90.0
"""Seconds that an instance may take to listen."""


@dataclass(eq=False)
class Instance:
    """A process that listens on a port: it is told which by PORT, and where its arguments say ``{port}``."""

    argv: list[str]
    environ: Mapping[str, str]
    folder: Path
    log: Path
    port: int = field(default_factory=free_port)
    requests: int = 0
    _ready: bool = False

    def __post_init__(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [each.format(port=self.port) for each in self.argv],
                cwd=self.folder,
                env={**self.environ, "PORT": str(self.port)},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self) -> None:
        def listens() -> bool:
            assert self.alive, f"it ended: {self.log.read_text()[-3000:]}"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        if not self._ready:
            self._ready = wait_until(listens, READY, f"{self.argv[-1]} listens", poll=0.05)

    def end(self, *, at_once: bool = False) -> None:
        if self.alive:
            os.killpg(self.process.pid, signal.SIGKILL if at_once else signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Front(Loopback):
    """``callers``: accounts, or ``allUsers``. ``make``: a new instance. ``most``: of them at once, as planned."""

    def __init__(
        self, accounts: Accounts, callers: frozenset[str], make: Callable[[], Instance], most: int
    ) -> None:
        self._accounts, self._callers, self._make, self.most = accounts, callers, make, most
        self.instances: list[Instance] = []
        self.strikes: list[Instance] = []
        """Instances that are killed with the next request that they have been given and have not answered."""
        self.lost = 0
        self._turn = 0
        self._lock = threading.Lock()
        front = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, content = front.answer(self.command, self.path, dict(self.headers), body)
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in HOP and name.lower() != "content-length":
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _serve

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        super().__init__(Door)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        for each in self.instances:
            each.end(at_once=True)

    def begin(self, count: int) -> list[Instance]:
        """So many more instances, which get requests once they listen."""
        assert len(self.instances) + count <= self.most, f"{self.most} are planned at most"
        made = [self._make() for _ in range(count)]
        with self._lock:
            self.instances += made
        return made

    def replace(self, count: int) -> None:
        """So many new instances in the place of those there are, which may finish what they have."""
        old, self.instances = self.instances, []
        for each in self.begin(count):
            each.wait_ready()
        for each in old:
            each.end()

    def answer(
        self, verb: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        if "allUsers" not in self._callers and self._caller(headers) not in self._callers:
            return 403, [], b"The request was not authenticated."
        instance = self._next()
        passed = {name: value for name, value in headers.items() if name.lower() not in HOP}
        connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=120)
        try:
            connection.request(verb, target, body, passed)
            if instance in self.strikes:
                self.strikes.remove(instance)
                instance.end(at_once=True)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException):
            self.lost += 1
            return 503, [], b"The request failed: the instance has gone."
        finally:
            connection.close()

    def _caller(self, headers: Mapping[str, str]) -> str:
        shown = {name.lower(): value for name, value in headers.items()}
        for name in ("x-serverless-authorization", "authorization"):
            if shown.get(name, "").startswith("Bearer "):
                return self._accounts.owner(shown[name].removeprefix("Bearer "), self.url)
        return ""

    def _next(self) -> Instance:
        """In turn; one that has ended is replaced before."""
        with self._lock:
            self.instances = [each for each in self.instances if each.alive]
            if not self.instances:
                self.instances = [self._make()]
            self._turn += 1
            found = self.instances[self._turn % len(self.instances)]
            found.requests += 1
        found.wait_ready()
        return found


class Clock:
    """Cloud Scheduler: calls an address every ``seconds``, as an account."""

    def __init__(self, accounts: Accounts, account: str, url: str, seconds: float) -> None:
        self._accounts, self._account, self._url, self._every = accounts, account, url, seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answers: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(60)

    def _run(self) -> None:
        import httpx

        while not self._stopped.wait(self._every):
            token = self._accounts.token(self._account, self._url).text
            try:
                answer = httpx.post(self._url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
                self.answers.append(answer.status_code)
            except httpx.HTTPError:
                self.answers.append(0)
                time.sleep(0)
