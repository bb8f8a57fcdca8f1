"""One stack a home: a file lock, which the kernel drops with its owner, also after SIGKILL."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class StackLock:
    """Held from `take` until `release` or the end of the process (children of a fork let go by exec or `drop`)."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = home / "stack.lock"
        self._descriptor: int | None = None

    def take(self) -> bool:
        """False: another stack holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def drop(self) -> None:
        """Close this process's copy; where it is the last one, the lock is free."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def held(home: Path) -> bool:
    """Whether a stack of this home is alive."""
    try:
        descriptor = os.open(home / "stack.lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
