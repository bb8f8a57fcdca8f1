"""The worker's side of the zygote: start it, ask it for attempts, start it again if it dies."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from agents.sdk.channel import Channel
from agents.sdk.environment import inherited
from turnout.core.errors import TransientError

LIBRARY = Path(__file__).resolve().parents[2]  # the folder that `agents` and `turnout` are imported from
_PROGRAM = (
    "import sys; sys.path[:0] = [sys.argv[1]]; from agents.sdk.zygote import main; "
    "main(int(sys.argv[2]), sys.argv[3], sys.argv[4])"
)


class Forked:
    """The process of an attempt, or of several, one after another, as the worker sees it. ``used``: not the first."""

    def __init__(self, channel: Channel, status: int) -> None:
        self.used = False
        self.channel = channel
        self.status = status
        self.pid: int | None = None
        self.exit: int | None = None
        self.failure = ""
        self._rest = b""

    def waits(self) -> bool:
        """Whether it still lives, for all that can be seen."""
        while select.select([self.status], [], [], 0)[0]:
            if not self.hear_status():
                return False
        return True

    def hear_status(self) -> bool:
        """Read what the zygote says of it; False: it has said all, or is gone itself."""
        piece = os.read(self.status, 4096)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            match line.split(b" ", 1):
                case [b"pid", pid]:
                    self.pid = int(pid)
                case [b"exit", status]:
                    self.exit = int(status)
                case [b"failed", reason]:
                    self.failure = reason.decode()
                case _:
                    pass
        return bool(piece) and self.exit is None and not self.failure

    def close(self) -> None:
        self.channel.close()
        os.close(self.status)


class ForkServer:
    """Thread-safe. ``agents``: ``module:function`` of each that is to be ready. ``sandbox`` as in `environment`.

    ``most_idle``: processes that wait for another attempt; 0: one a core.
    """

    def __init__(self, agents: Sequence[str], sandbox: str, most_idle: int = 0) -> None:
        self._agents = json.dumps(list(agents))
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._idle: list[tuple[str, Forked]] = []  # the longest idle first
        self._most_idle = most_idle or os.cpu_count() or 1

    def start(self) -> None:
        """Returns at once; the zygote gets ready by itself, and the first attempt's process after it."""
        with self._lock:
            self._start()
        self.keep("", self._fork())

    def borrow(self, key: str) -> Forked:
        """A process that waits for `channel.Begin`: one that was kept for this key, or a new one.

        Raises: TransientError.
        """
        for wanted in (key, ""):
            while (found := self._take(wanted)) is not None:
                if found.waits():
                    return found
                found.close()
        return self._fork()

    def keep(self, key: str, forked: Forked) -> None:
        """It waits for another attempt of this key; "": of any. Who has waited longest goes when there are too many."""
        with self._lock:
            self._idle.append((key, forked))
            leaving = self._idle[: -self._most_idle]
            del self._idle[: -self._most_idle]
        for _, each in leaving:
            each.close()  # that is how it learns

    def _take(self, key: str) -> Forked | None:
        with self._lock:
            for place in range(len(self._idle) - 1, -1, -1):
                if self._idle[place][0] == key:
                    return self._idle.pop(place)[1]
        return None

    def _fork(self) -> Forked:
        """Raises: TransientError."""
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        try:
            with self._lock:
                self._ask(b"fork\n", [theirs.fileno(), write])
        except BaseException:
            ours.close()
            os.close(read)
            raise
        finally:
            theirs.close()
            os.close(write)
        return Forked(Channel(ours), read)

    def kill(self, forked: Forked) -> None:
        """SIGKILL to its whole group. What has ended already, is none of the living's."""
        with self._lock:
            if forked.pid is not None and forked.exit is None and self._control is not None:
                try:
                    self._control.sendall(f"kill {forked.pid}\n".encode())
                except OSError:
                    pass  # the zygote is gone, and took its children with it

    def close(self) -> None:
        """End the zygote and every attempt that still runs."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._stop()
        for _, each in idle:
            each.close()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def _ask(self, line: bytes, descriptors: list[int]) -> None:
        for again in (True, False):
            if self._process is None or self._process.poll() is not None:
                self._start()
            assert self._control is not None
            try:
                socket.send_fds(self._control, [line], descriptors)
                return
            except OSError as error:
                self._stop()
                if not again:
                    raise TransientError(f"attempts cannot be started: {error}") from error

    def _start(self) -> None:
        self._stop()
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _PROGRAM,
                    str(LIBRARY),
                    str(theirs.fileno()),
                    self._agents,
                    self._sandbox,
                ],
                env=inherited(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for the worker, which then drains
            )
            self._control = ours
        except OSError as error:
            ours.close()
            raise TransientError(f"attempts cannot be started: {error}") from error
        finally:
            theirs.close()

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
