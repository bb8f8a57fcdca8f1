"""How much an attempt may write to the disk, and whether it has.

There is no quota that everybody may set, so the attempt's folders are looked through while it runs: after a second,
then as often as costs a thirtieth of the time, and at once when the file system loses more room than is left to it.
No single file grows over the limit at all: that the kernel sees to (RLIMIT_FSIZE). What is written between two looks
is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from turnout.core.durations import format_size, parse_size
from turnout.core.errors import PermanentError

VARIABLE = "TURNOUT_DISK"
DEFAULT = "20Gi"
ENTRY = 4096  # bytes that a file or folder counts besides its content: there are only so many
FIRST = 1.0  # seconds between two looks, at least
PATIENCE = 30  # times as long as a look takes
DEEPEST = 200  # folders within each other


def limit(environ: Mapping[str, str]) -> int | None:
    """Bytes; None: there is none. Raises: PermanentError for what is no size."""
    given = environ.get(VARIABLE, "") or DEFAULT
    if given == "none":
        return None
    try:
        return parse_size(given)
    except ValueError as error:
        raise PermanentError(f"{VARIABLE}={given}: {error}", "give a size like 20Gi, or none") from error


def used(folder: Path, most: int) -> tuple[int, bool]:
    """Bytes that a folder takes with all that is in it, and whether something could not be looked into.

    Counting ends when it is over ``most``. Links are not followed, other file systems not entered. Folders that are
    nested too deep for anybody to need them count as over.
    """
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return 0, False
    total, closed = 0, False
    waiting = [(str(folder), 0)]
    while waiting and total <= most:
        path, depth = waiting.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    try:
                        seen = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    total += seen.st_blocks * 512 // max(1, seen.st_nlink) + ENTRY
                    if total > most:
                        break
                    if entry.is_dir(follow_symlinks=False) and seen.st_dev == found.st_dev:
                        if depth >= DEEPEST:
                            return most + 1, closed
                        waiting.append((entry.path, depth + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue  # removed meanwhile
        except PermissionError:
            closed = True
    return total, closed


class Disk:
    """What one attempt has written. `include` may be called from any thread, `look` from one."""

    def __init__(self, most: int | None, folder: Path) -> None:
        self._most = most
        self._folder = folder
        self._watched: dict[Path, int] = {folder: 0}
        self._left = most or 0
        self._free = self._free_at_first = self._room()
        self._next = self._walk_at = time.monotonic() + FIRST

    @property
    def most(self) -> int | None:
        return self._most

    def include(self, folder: Path) -> None:
        """From now on, what is added to this folder counts, too: others have written there before."""
        if self._most is not None and folder not in self._watched:
            self._watched[folder], _ = used(folder, 1 << 62)

    def due(self) -> float:
        """When to look again, by `time.monotonic`."""
        return self._next if self._most is not None else float("inf")

    def look(self) -> str:
        """Why the attempt must end; empty: it need not."""
        if self._most is None:
            return ""
        began = time.monotonic()
        free = self._room()
        self._next = began + FIRST
        if began < self._walk_at and self._free - free < self._left:
            return ""
        total, hidden = 0, False
        for folder, before in list(self._watched.items()):
            found, closed = used(folder, self._most + before)
            total += max(0, found - before)
            hidden |= closed
        if hidden and self._free_at_first - free > self._most:
            total = self._most + 1  # it may have closed a folder to us, so that nobody sees what is in it
        self._left, self._free = self._most - total, free
        self._walk_at = began + max(FIRST, PATIENCE * (time.monotonic() - began))
        return f"it wrote more than {format_size(self._most)} to the disk" if total > self._most else ""

    def _room(self) -> int:
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize
