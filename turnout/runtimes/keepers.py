"""The two ways to a tool's keeper (`sandbox_supervisor`): a new interpreter, or a fork of this process.

A fork costs a tenth of an interpreter. It is for processes that were made to be forked: small, with nothing in their
memory that a keeper should not hold. Whoever holds more (a worker, the command line) starts an interpreter.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from turnout.runtimes import sandbox_supervisor

Stream = int | IO[bytes] | None
LIBRARY = Path(__file__).resolve().parents[2]  # the folder that `turnout` is imported from
SUPERVISOR = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from turnout.runtimes.sandbox_supervisor import main; main(int(sys.argv[2]))"
)
CAN_FORK = sys.platform == "linux" and hasattr(os, "pidfd_open")
CONTROL = 3  # the descriptor of the socket in a forked keeper


class Keeper(Protocol):
    """The part of `subprocess.Popen` that is needed of a keeper. ``returncode``: known once `wait` has returned."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int:
        """Raises: subprocess.TimeoutExpired."""
        ...


def keeper(control: socket.socket, stdin: Stream, stdout: Stream, stderr: Stream, *, fork: bool) -> Keeper:
    """Start one that listens to ``control``. The streams are as `subprocess.Popen` takes them.

    Raises: OSError when no process can be made.
    """
    if fork and CAN_FORK:
        return ForkedKeeper(control, stdin, stdout, stderr)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SUPERVISOR, str(LIBRARY), str(control.fileno())],
        env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        cwd="/",
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=(control.fileno(),),
        start_new_session=True,  # Ctrl-C is for us; we then end the tool
    )


class ForkedKeeper:
    """Thread-safe. Linux only."""

    def __init__(self, control: socket.socket, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        streams = _Streams(stdin, stdout, stderr)
        try:
            self._pid = os.fork()
            if self._pid == 0:
                _become_keeper(control, streams.theirs)
            self._ended = os.pidfd_open(self._pid)
        except BaseException:
            streams.close_ours()
            raise
        finally:
            streams.close_theirs()
        self.stdin, self.stdout, self.stderr = streams.ours
        self._status: int | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def returncode(self) -> int | None:
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while (status := self._collect(until)) is None:
            if until is not None and time.monotonic() >= until:
                raise subprocess.TimeoutExpired("keeper", timeout or 0.0)
        return status

    def _collect(self, until: float | None) -> int | None:
        """Its status; None when it had not ended by then. Another thread may collect it meanwhile."""
        with self._lock:
            if self._status is not None:
                return self._status
            watched = os.dup(self._ended)
        left = None if until is None else max(0.0, until - time.monotonic())
        try:
            ready, _, _ = select.select([watched], [], [], left)
        finally:
            os.close(watched)
        with self._lock:
            if ready and self._status is None:
                self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
                os.close(self._ended)
            return self._status


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


def _become_keeper(control: socket.socket, streams: Sequence[int]) -> None:
    """In the fork: keep the streams and the socket, nothing else of whoever we were."""
    try:
        gc.disable()  # its marks would copy every page that we share
        for each in signal.valid_signals():
            if callable(signal.getsignal(each)):
                signal.signal(each, signal.SIG_DFL)
        os.setsid()
        held = [os.dup(each) for each in (*streams, control.fileno())]
        kept = max(held) + 1
        for number, descriptor in enumerate(held):
            os.dup2(descriptor, kept + number)
        for number in range(len(held)):
            os.dup2(kept + number, number, inheritable=number < CONTROL)
        for name in os.listdir("/proc/self/fd"):
            if int(name) > CONTROL:
                with contextlib.suppress(OSError):  # the one that listed the others
                    os.close(int(name))
        os.chdir("/")
        sandbox_supervisor.main(CONTROL)
    finally:
        os._exit(1)
