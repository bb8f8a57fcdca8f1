"""What crosses between the worker and an attempt's process: JSON, one message a line, over a socket pair."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from turnout.core.messages import TaskRequested
from turnout.core.model import Value
from turnout.core.result import Artifact, Result

MAX_LINE = 64 * 1024 * 1024  # bytes


class GitCredential(Value):
    """What the remote asks for; used to fetch, never given to a tool."""

    password: str = Field(repr=False)
    username: str


class Begin(Value):
    """Worker to attempt, first. ``secrets``: name to value, only those that the task names.

    ``sandbox``: ``auto``, ``require`` or ``none``. ``grace``: seconds between SIGTERM and SIGKILL.
    ``log_limit``: characters of log that are kept. ``fetch_again``: seconds between tries while the remote is away.
    ``shallow``: there is no mirror that the commit's history would be worth fetching for.
    ``earlier``: the report that findings are compared with, None: there is none.
    """

    kind: Literal["begin"] = "begin"
    task: TaskRequested
    agent: str
    home: Path
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)
    credential: GitCredential | None = None
    sandbox: str = "auto"
    grace: float = 5.0
    log_limit: int = 50_000_000
    fetch_again: tuple[float, ...] = (1.0, 4.0)
    shallow: bool = False
    earlier: str | None = Field(default=None, repr=False)


class Stop(Value):
    """Worker to attempt: end now, and say why. ``lost``: the worker goes away; the task is to be tried again."""

    kind: Literal["stop"] = "stop"
    why: Literal["cancelled", "lost"]
    reason: str


class Logged(Value):
    """Attempt to worker: more of the log, masked."""

    kind: Literal["logged"] = "logged"
    text: str


class Kept(Value):
    """Attempt to worker: a file to put into the artifact store."""

    kind: Literal["kept"] = "kept"
    artifact: Artifact
    path: Path


class Undoing(Value):
    """Attempt to worker: told to stop, it takes so many seconds more to undo what it is about to do."""

    kind: Literal["undoing"] = "undoing"
    seconds: float


class Done(Value):
    """Attempt to worker, once, last. ``stays``: the process can take another attempt of the same project and trust."""

    kind: Literal["done"] = "done"
    result: Result
    stays: bool = False


Said = Begin | Stop | Logged | Kept | Undoing | Done
type_of = TypeAdapter[Said](Annotated[Said, Field(discriminator="kind")])


class Lines:
    """Puts the pieces that a socket gives together into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[Said]:
        """Raises: ValueError for what is no message."""
        self._rest += piece
        if len(self._rest) > MAX_LINE:
            raise ValueError(f"a message of more than {MAX_LINE} bytes")
        if b"\n" not in piece:
            return []  # what is gathered so far is looked at once, when its end is there
        *whole, self._rest = self._rest.split(b"\n")
        return [type_of.validate_json(bytes(line)) for line in whole]


class Channel:
    """The attempt's end, or the worker's. `send` may be called from any thread; receiving is for one."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._lines = Lines()
        self._sending = threading.Lock()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: Said) -> None:
        """Raises: OSError when the other end is gone."""
        line = json.dumps(message.to_json(), separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        with self._sending:
            self.socket.sendall(line)

    def receive(self) -> list[Said] | None:
        """What has arrived, at least a piece of a message was waited for; None: the other end is gone."""
        try:
            piece = self.socket.recv(1 << 18)
        except ConnectionError:
            return None
        return self._lines.feed(piece) if piece else None

    def close(self) -> None:
        self.socket.close()
