"""Claims as files: the fence around an attempt for all workers that share one home.

``attempts/<id>`` holds one JSON line for each thing that happened to the claim; the last whole line counts.
It is written and read under a lock on that file. ``workers/<instance>`` is locked by its worker for as long
as it lives, so the kernel itself says who is dead: no process id that could be somebody else's by now.
Outlives any crash of a process; not a power cut, after which no worker is left that could run anything twice
(the position of the attempt's record is committed before it is marked as running).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from turnout.core.errors import IllegalTransition, PermanentError, TransientError
from turnout.core.ports import ClaimState

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}")


@dataclass(frozen=True, slots=True)
class _Entry:
    """``state``: ``free``, ``claimed``, ``running`` or ``finished``. ``owner``: the worker's instance."""

    state: str
    owner: str = ""
    worker: str = ""


class FileClaims:
    """One instance is one worker process, to the others: make one a process. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._attempts = root / "attempts"
        self._running = root / "running"
        self._cancelled = root / "cancelled"
        self._workers = root / "workers"
        self._alive: int | None = None
        self._instance = ""
        self._guard = threading.Lock()
        for folder in (root, self._attempts, self._running, self._cancelled, self._workers):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def claim(self, attempt: str, worker: str) -> bool:
        me = self._identity()
        with self._locked(attempt) as file:
            last = _read(file)
            match last.state:
                case "running" | "finished":
                    return False
                case "claimed" if last.owner != me and self._lives(last.owner):
                    raise TransientError(
                        f"attempt {attempt} is held by {last.worker}, which has not started it yet",
                        retry_after=0.2,
                    )
                case _:
                    _append(file, _Entry("claimed", me, worker))
                    return True

    def release(self, attempt: str) -> None:
        with self._locked(attempt) as file:
            last = _read(file)
            if last.state == "claimed" and last.owner == self._instance:
                _append(file, _Entry("free"))

    def running(self, attempt: str) -> None:
        """Raises: IllegalTransition when the attempt isn't claimed by this worker."""
        with self._locked(attempt) as file:
            last = _read(file)
            if last.state == "running" and last.owner == self._instance:
                return
            if last.state != "claimed" or last.owner != self._instance:
                raise IllegalTransition(f"attempt {attempt} is not claimed by this worker, but {last.state}")
            (self._running / attempt).touch()  # first: a mark without the line means nothing
            _append(file, _Entry("running", last.owner, last.worker))

    def finished(self, attempt: str) -> None:
        with self._locked(attempt) as file:
            last = _read(file)
            if last.state != "finished":
                _append(file, _Entry("finished", last.owner, last.worker))
            (self._running / attempt).unlink(missing_ok=True)

    def cancel(self, attempt: str) -> None:
        (self._cancelled / _checked(attempt)).touch()

    def cancelled(self, attempt: str) -> bool:
        return (self._cancelled / _checked(attempt)).exists()

    def state(self, attempt: str) -> ClaimState:
        if not (self._attempts / _checked(attempt)).exists():
            return "free"
        with self._locked(attempt) as file:
            last = _read(file)
        match last.state:
            case "claimed":
                return "claimed" if self._lives(last.owner) else "free"
            case "running":
                return "running" if self._lives(last.owner) else "lost"
            case "finished":
                return "finished"
            case _:
                return "free"

    def orphans(self) -> Sequence[str]:
        return [each for each in sorted(os.listdir(self._running)) if self.state(each) == "lost"]

    def prune(self, older_than: float) -> int:
        """Forget what finished, and marks to cancel, that were last touched ``older_than`` seconds ago or earlier."""
        limit = time.time() - older_than
        removed = 0
        for attempt in os.listdir(self._attempts):
            if _age(self._attempts / attempt) < limit:
                with self._locked(attempt) as file:
                    last = _read(file)
                    if last.state == "running" or (last.state == "claimed" and self._lives(last.owner)):
                        continue
                    (self._attempts / attempt).unlink(missing_ok=True)
                removed += 1
        for folder in (self._cancelled, self._workers):
            for name in os.listdir(folder):
                if _age(folder / name) < limit and (folder is self._cancelled or not self._lives(name)):
                    (folder / name).unlink(missing_ok=True)
        return removed

    def close(self) -> None:
        """This worker is dead to the others from now on."""
        with self._guard:
            if self._alive is not None:
                (self._workers / self._instance).unlink(missing_ok=True)
                os.close(self._alive)
                self._alive = None

    def _identity(self) -> str:
        with self._guard:
            if self._alive is None:
                self._instance = f"{os.getpid()}-{time.time_ns()}-{id(self):x}"
                path = self._workers / self._instance
                self._alive = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._alive, fcntl.LOCK_EX)
            return self._instance

    def _lives(self, owner: str) -> bool:
        """Whether that worker's process still holds its lock."""
        try:
            descriptor = os.open(self._workers / owner, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @contextmanager
    def _locked(self, attempt: str) -> Iterator[int]:
        """The claim's file, ours alone; made anew where `prune` has removed it before we had the lock."""
        path = self._attempts / _checked(attempt)
        while True:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                break
            os.close(descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _read(file: int) -> _Entry:
    """The last whole line; one that a crash cut short is as if it had not been written."""
    lines = os.pread(file, 1 << 20, 0).split(b"\n")
    for line in reversed(lines[:-1]):
        try:
            return _Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue
    return _Entry("free")


def _append(file: int, entry: _Entry) -> None:
    line = json.dumps({"state": entry.state, "owner": entry.owner, "worker": entry.worker})
    try:
        os.write(file, f"\n{line}\n".encode())  # the first newline ends a line that a crash cut short
    except OSError as error:
        raise TransientError(f"the claim cannot be written: {error}", "make room on the disk") from error


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _checked(attempt: str) -> str:
    if not _NAME.fullmatch(attempt):
        raise PermanentError(f"{attempt!r} is no attempt id")
    return attempt
