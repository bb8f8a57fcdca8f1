"""A server program as a child process: started until it says it is ready, stopped, killed, started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from turnout.core.errors import PermanentError

POLL = 0.02  # seconds between two looks at the log while a server starts


class ServerFailed(PermanentError):
    """The program ended, or was not ready in time; the message holds the end of its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def refuse_taken_port(port: int, what: str) -> None:
    """Raises: ServerFailed when something listens on ``port`` of 127.0.0.1 already."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ServerFailed(
                f"port {port} is taken, {what} cannot listen there",
                "stop what listens on it, or choose another port (0: any free one)",
            )


@dataclass
class ServerProcess:
    """``ready_line``: text of the log line that says the server takes requests.

    ``stop_signal``: what asks the program to end in good order. ``user``: run as this user; None: as ours.
    ``env``: None: our own environment.
    """

    name: str
    argv: Sequence[str]
    log: Path
    ready_line: str
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None
    cwd: Path | None = None
    env: Mapping[str, str] | None = None
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        """Raises: ServerFailed when the program is not running."""
        if self._child is None:
            raise ServerFailed(f"{self.name} is not running", "call start() first")
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self, ready_within: float) -> None:
        """Return when the program is ready. Does nothing while it runs.

        Raises: ServerFailed after ``ready_within`` seconds, or when the program ends first.
        """
        if self.running:
            return
        offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env=self.env,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
                start_new_session=True,  # Ctrl-C is for us; we stop the program in good order
            )
        self._wait_ready(offset, ready_within)

    def _wait_ready(self, offset: int, ready_within: float) -> None:
        deadline = time.monotonic() + ready_within
        wanted = self.ready_line.encode()
        while True:
            with self.log.open("rb") as log:
                log.seek(offset)
                said = log.read()
            if wanted in said:
                return
            if not self.running:
                raise ServerFailed(f"{self.name} ended while starting", self._tail(said))
            if time.monotonic() > deadline:
                self.kill()
                raise ServerFailed(f"{self.name} was not ready within {ready_within:.0f} s", self._tail(said))
            time.sleep(POLL)

    def _tail(self, said: bytes) -> str:
        lines = said.decode(errors="replace").splitlines()[-15:]
        return "the end of its log:\n" + "\n".join(lines)

    def stop(self, within: float = 20) -> None:
        """Ask the program to end; after ``within`` seconds, kill it."""
        if self._child is None:
            return
        if self.running:
            self._child.send_signal(self.stop_signal)
            try:
                self._child.wait(within)
            except subprocess.TimeoutExpired:
                self.kill()
        self._child = None

    def kill(self) -> None:
        """SIGKILL the program and its children: as near to a power cut as a process comes."""
        if self._child is None:
            return
        for pid in (self._child.pid, *children(self._child.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it ended by itself meanwhile
        self._child.wait()
        self._child = None


def children(pid: int) -> tuple[int, ...]:
    """Direct children of a process; none where the kernel has no such list (other than Linux)."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return ()
    return tuple(int(each) for each in listed.split())


class LocalServer(ABC):
    """A server on 127.0.0.1 that keeps its port and its data over `stop`, `kill` and `start`.

    ``port`` 0: any free one. As a context manager it is started on the way in and closed on the way out.
    """

    what: str
    _within: str | None = None  # where the temporary folder is made; None: the system's place

    def __init__(self, *, port: int = 0, folder: Path | None = None, ready_within: float = 60) -> None:
        self.port = port or free_port()
        self._port_was_asked = port != 0
        self._ready_within = ready_within
        self._given = folder.resolve() if folder else None
        self._made: Path | None = None
        self._process: ServerProcess | None = None

    @abstractmethod
    def _prepare(self) -> ServerProcess:
        """Make settings and data where they are missing; called once, before the first start."""

    @property
    def folder(self) -> Path:
        """Settings, data and log; made on first use."""
        if self._given is not None:
            self._given.mkdir(parents=True, exist_ok=True)
            return self._given
        if self._made is None:
            self._made = Path(tempfile.mkdtemp(prefix="turnout-", dir=self._within))
        return self._made

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def pid(self) -> int:
        """Raises: ServerFailed when the server is not running."""
        if self._process is None:
            raise ServerFailed(f"{self.what} is not running", "call start() first")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Return when the server takes requests; does nothing while it runs.

        Raises: PermanentError when a program is missing, with what installs it; TransientError when it could
        not be fetched; ServerFailed when the server did not come up.
        """
        if self._port_was_asked and not self.running:
            refuse_taken_port(self.port, self.what)
        if self._process is None:
            self._process = self._prepare()
        self._process.start(self._ready_within)

    def stop(self) -> None:
        """End in good order; `start` goes on with the same data."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL; `start` goes on with the same data."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Stop, and remove the data unless they were given a place."""
        self.stop()
        if self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(server: LocalServer, greeting: Callable[[], str]) -> None:
    """Run ``server`` until SIGINT or SIGTERM; ``greeting`` is asked, and printed, once it is ready.

    Raises: ServerFailed when the server ends by itself.
    """
    ended = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: ended.set())
    with server:
        print(greeting(), flush=True)
        while server.running and not ended.wait(0.5):
            pass
        if not ended.is_set():
            raise ServerFailed(
                f"{server.what} ended by itself", server.log.read_text(errors="replace")[-2000:]
            )
