"""The worker's side of the zygote: start it, ask it for attempts, start it again if it dies."""

from __future__ import annotations

import json
import os
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
    """One attempt's process, as the worker sees it."""

    def __init__(self, channel: Channel, status: int) -> None:
        self.channel = channel
        self.status = status
        self.pid: int | None = None
        self.exit: int | None = None
        self.failure = ""
        self._rest = b""

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
    """Thread-safe. ``agents``: ``module:function`` of each that is to be ready. ``sandbox`` as in `environment`."""

    def __init__(self, agents: Sequence[str], sandbox: str) -> None:
        self._agents = json.dumps(list(agents))
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Returns at once; the zygote gets ready by itself."""
        with self._lock:
            self._start()

    def fork(self) -> Forked:
        """A new process that waits for `channel.Begin`. Raises: TransientError."""
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
            self._stop()

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
