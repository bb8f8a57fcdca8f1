"""The two ways to a tool's keeper (`sandbox_supervisor`): a new interpreter, or a fork of a process made for that.

A fork costs a tenth of an interpreter, where the process that is forked is small and does nothing else
(`keeper_forker`). Forking an attempt's own process would make it copy each page that it touches afterwards.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

from turnout.runtimes.keeper_forker import REQUEST

Stream = int | IO[bytes] | None
LIBRARY = Path(__file__).resolve().parents[2]  # the folder that `turnout` is imported from
SUPERVISOR = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from turnout.runtimes.sandbox_supervisor import main; main(int(sys.argv[2]))"
)


class Keeper(Protocol):
    """A keeper's process, and the ends of its tool's streams."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    @property
    def pid(self) -> int: ...

    def wait(self) -> int:
        """Its exit status."""
        ...

    def leave(self, *, again: bool) -> None:
        """Nobody asks for its tool any more. ``again``: it has said that it could keep another one."""
        ...


Starter = Callable[[socket.socket, Stream, Stream, Stream], Keeper]
"""Starts a keeper that listens to a socket, with a tool's three streams. Raises: OSError when it can't be made."""


def new_interpreter(control: socket.socket, stdin: Stream, stdout: Stream, stderr: Stream) -> Keeper:
    return _Interpreter(
        [sys.executable, "-I", "-S", "-c", SUPERVISOR, str(LIBRARY), str(control.fileno())],
        env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        cwd="/",
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=(control.fileno(),),
        start_new_session=True,  # Ctrl-C is for us; we then end the tool
    )


class _Interpreter(subprocess.Popen[bytes]):
    def leave(self, *, again: bool) -> None:  # noqa: ARG002 - it keeps one tool
        self.wait()  # nobody else collects it


class Forker:
    """A `Starter` for one thread. Whoever forks keepers (`keeper_forker`) listens at the other end of ``asks``.

    A keeper that has done with its tool is given the next one.
    """

    def __init__(self, asks: socket.socket) -> None:
        self._asks = asks
        self._idle: list[Forked] = []

    def __call__(self, control: socket.socket, stdin: Stream, stdout: Stream, stderr: Stream) -> Keeper:
        streams = _Streams(stdin, stdout, stderr)
        try:
            forked = self._ask([control.fileno(), *streams.theirs])
        except BaseException:
            streams.close_ours()
            raise
        finally:
            streams.close_theirs()
        return ForkedKeeper(forked, streams.ours, self._idle.append)

    def close(self) -> None:
        """The keepers that have no tool end."""
        while self._idle:
            self._idle.pop().close()
        self._asks.close()

    def _ask(self, descriptors: list[int]) -> Forked:
        while self._idle:
            forked = self._idle.pop()
            try:
                socket.send_fds(forked.requests, [REQUEST], descriptors)
            except OSError:
                forked.close()  # it has been killed meanwhile
            else:
                return forked
        forked = self._fork()
        try:
            socket.send_fds(forked.requests, [REQUEST], descriptors)
        except BaseException:
            forked.close()
            raise
        return forked

    def _fork(self) -> Forked:
        requests, theirs = socket.socketpair(self._asks.family, self._asks.type)
        status, written = os.pipe()
        forked = Forked(requests, status)
        try:
            socket.send_fds(self._asks, [REQUEST], [theirs.fileno(), written])
        except BaseException:
            forked.close()
            raise
        finally:
            theirs.close()
            os.close(written)
        return forked


class Forked:
    """A forked keeper's process. Thread-safe. ``requests``: for a tool each; ``status``: what is said of it."""

    def __init__(self, requests: socket.socket, status: int) -> None:
        self.requests = requests
        self._status = status
        os.set_blocking(status, False)
        self._heard = b""
        self._pid = 0
        self._exit: int | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Raises: ProcessLookupError where it never lived."""
        while self._pid == 0:
            if self._hear() is not None and self._pid == 0:
                raise ProcessLookupError("no keeper was forked")
        return self._pid

    def wait(self) -> int:
        while (ended := self._hear()) is None:
            pass
        return ended

    def close(self) -> None:
        """It ends by itself."""
        self.requests.close()
        with self._lock:
            if self._exit is None:
                self._exit = 0
                os.close(self._status)

    def _hear(self) -> int | None:
        """More of what its forker says; its exit status, when that is known. Another thread may hear it meanwhile."""
        with self._lock:
            if self._exit is not None:
                return self._exit
            watched = os.dup(self._status)
        try:
            select.select([watched], [], [])
        finally:
            os.close(watched)
        with self._lock:
            if self._exit is None:
                self._take()
            return self._exit

    def _take(self) -> None:
        try:
            piece = os.read(self._status, 4096)
        except BlockingIOError:
            return
        *lines, self._heard = (self._heard + piece).split(b"\n")
        for line in lines:
            word, _, number = line.partition(b" ")
            if word == b"pid":
                self._pid = int(number)
            else:
                self._exit = int(number)
        if not piece and self._exit is None:
            self._exit = -signal.SIGKILL  # whoever forked it is gone
        if self._exit is not None:
            os.close(self._status)


class ForkedKeeper:
    """Of one tool. ``give_back``: takes the process when it can keep another one."""

    def __init__(
        self, forked: Forked, streams: Sequence[IO[bytes] | None], give_back: Callable[[Forked], None]
    ) -> None:
        self.stdin, self.stdout, self.stderr = streams
        self._forked = forked
        self._give_back = give_back

    @property
    def pid(self) -> int:
        return self._forked.pid

    def wait(self) -> int:
        return self._forked.wait()

    def leave(self, *, again: bool) -> None:
        if again:
            self._give_back(self._forked)
        else:
            self._forked.close()


class _Streams:
    """Standard streams of a child: ``theirs``, as descriptors; ``ours``, files where a pipe was asked for."""

    def __init__(self, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        self.ours: list[IO[bytes] | None] = [None, None, None]
        self._opened: list[int] = []
        self.theirs: list[int] = []
        try:
            for number, stream in enumerate((stdin, stdout, stderr)):
                self.theirs.append(self._theirs(number, stream))
        except BaseException:
            self.close_ours()
            self.close_theirs()
            raise

    def _theirs(self, number: int, stream: Stream) -> int:
        match stream:
            case None:
                return number
            case subprocess.PIPE:
                read, write = os.pipe()
                mine, other = (write, read) if number == 0 else (read, write)
                self.ours[number] = os.fdopen(mine, "wb" if number == 0 else "rb")
                self._opened.append(other)
                return other
            case subprocess.DEVNULL:
                self._opened.append(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
                return self._opened[-1]
            case subprocess.STDOUT:
                return self.theirs[1]
            case int():
                return stream
            case _:
                return stream.fileno()

    def close_theirs(self) -> None:
        while self._opened:
            os.close(self._opened.pop())

    def close_ours(self) -> None:
        for each in self.ours:
            if each is not None:
                each.close()
