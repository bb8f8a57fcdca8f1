"""A launched job's own folder: what waits to be sent. The next job clears up after dead ones."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.sdk.attempt import folder_of
from agents.sdk.orphans import remove_folder

_ROOMS, _LOCK = "remote", "lock"


@contextmanager
def room(home: Path, attempt: str) -> Iterator[Path]:
    """Removed afterwards. Raises: OSError."""
    base = home / _ROOMS
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _hold(base / ".clearing", wait=True) as _:
        _clear(home)
        folder = Path(tempfile.mkdtemp(prefix=f"{attempt}~", dir=base))
        held = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        remove_folder(folder)
        os.close(held)


def _clear(home: Path) -> None:
    """What jobs left that were killed."""
    rooms = [each for each in (home / _ROOMS).iterdir() if each.is_dir()]
    dead = [each for each in rooms if _dead(each)]
    living = {each.name.partition("~")[0] for each in rooms if each not in dead}
    for each in dead:
        attempt = each.name.partition("~")[0]
        if attempt not in living:
            remove_folder(folder_of(home, attempt))
        remove_folder(each)


def _dead(folder: Path) -> bool:
    try:
        with _hold(folder / _LOCK, wait=False) as held:
            return held
    except OSError:
        return False


@contextmanager
def _hold(path: Path, *, wait: bool) -> Iterator[bool]:
    """Whether the lock is ours meanwhile. Raises: OSError."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)
