"""Folders of installed dependencies that outlive an attempt, each under a key of what it was made from.

An entry is built under another name and renamed when it is complete, so a half-made one is never seen. It is
held with a shared lock while an attempt uses it; entries that nobody holds are pruned, the longest unused first.
Locks are `flock`: the end of a process, of whatever kind, lets go of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.sdk.workspace import Workspace
from turnout.runtimes.sandbox_files import remove_tree

KEPT = 6
"""Entries of a kind that stay, besides those in use."""

POLL = 0.1
"""Seconds between two looks at a lock that another attempt holds."""


def digest(parts: Iterable[str | bytes]) -> str:
    """A short key for what these parts say together; their borders count."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(len(content).to_bytes(8, "big"))
        whole.update(content)
    return whole.hexdigest()[:20]


@contextmanager
def held(workspace: Workspace, kind: str, key: str, build: Callable[[Path], None]) -> Iterator[Path]:
    """The entry's folder, built by ``build(empty folder)`` where it is not there yet.

    The folder is at its final place only after ``build`` has returned: what is built must bear being renamed.
    Nobody else builds the same entry meanwhile. Raises: whatever ``build`` raises; nothing is left of it then.
    """
    base = workspace.cache / kind
    base.mkdir(parents=True, exist_ok=True)
    entry = base / key
    lock = _shared(base / f"{key}.lock", entry, workspace, build)
    try:
        os.utime(base / f"{key}.lock")
        _prune(base)
        yield entry
    finally:
        os.close(lock)


def _shared(path: Path, entry: Path, workspace: Workspace, build: Callable[[Path], None]) -> int:
    """An open descriptor with a shared lock on an entry that is there."""
    while True:
        lock = _locked(path, fcntl.LOCK_SH, workspace)
        if entry.is_dir():
            return lock
        os.close(lock)
        lock = _locked(path, fcntl.LOCK_EX, workspace)
        try:
            if not entry.is_dir():
                _build(entry, build)
        finally:
            os.close(lock)


def _locked(path: Path, mode: int, workspace: Workspace) -> int:
    told = False
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            if not told:
                workspace.log("Waiting: another attempt is installing the same dependencies")
            told = True
            time.sleep(POLL)
            continue
        if _is(lock, path):
            return lock
        os.close(lock)  # pruned between opening and locking


def _is(lock: int, path: Path) -> bool:
    try:
        return os.fstat(lock).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _build(entry: Path, build: Callable[[Path], None]) -> None:
    for left in entry.parent.glob(f".{entry.name}.*"):
        remove_tree(left)
    growing = entry.parent / f".{entry.name}.{os.getpid()}"
    growing.mkdir()
    growing.chmod(0o777)  # installers may run as another user; what is above it is open to nobody else
    try:
        build(growing)
        growing.rename(entry)
    except BaseException:
        remove_tree(growing)
        raise


def _prune(base: Path) -> None:
    locks = sorted(base.glob("*.lock"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in locks[KEPT:]:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is(lock, path):
                continue
            for folder in (base / path.stem, *base.glob(f".{path.stem}.*")):
                remove_tree(folder)
            path.unlink()
        except BlockingIOError:
            continue  # in use
        finally:
            os.close(lock)
