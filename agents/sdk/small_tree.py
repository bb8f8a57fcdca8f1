"""A small working tree, kept in memory: made again without a git process, which costs milliseconds.

In memory, because where there is no sandbox tools could write to any copy on the disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_ENTRIES = 256
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Entry:
    """``content``: of a file; where a link leads to; None of a folder. ``changed``: nanoseconds."""

    path: str
    mode: int
    content: bytes | None
    changed: int


@dataclass(frozen=True, slots=True)
class SmallTree:
    """Folders before what is in them."""

    entries: tuple[_Entry, ...]

    def write(self, into: Path) -> None:
        """``into`` must not exist. Raises: OSError."""
        os.mkdir(into)
        for each in self.entries:
            path = os.path.join(into, each.path)
            if each.content is None:
                os.mkdir(path, each.mode)
                continue
            if stat.S_ISLNK(each.mode):
                os.symlink(each.content, os.fsencode(path))
            else:
                file = os.open(
                    path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, stat.S_IMODE(each.mode)
                )
                try:
                    left = memoryview(each.content)
                    while left:
                        left = left[os.write(file, left) :]
                finally:
                    os.close(file)
            os.utime(path, ns=(each.changed, each.changed), follow_symlinks=False)


def small_tree(folder: Path) -> SmallTree | None:
    """What is in a folder that nobody else has written to; None where that is much. Raises: OSError."""
    found: list[_Entry] = []
    room = MOST_BYTES
    for entry in _below(str(folder)):
        seen = entry.stat(follow_symlinks=False)
        room -= seen.st_size
        if len(found) == MOST_ENTRIES or room < 0:
            return None
        content: bytes | None = None
        if stat.S_ISLNK(seen.st_mode):
            content = os.fsencode(os.readlink(entry.path))
        elif not stat.S_ISDIR(seen.st_mode):
            content = Path(entry.path).read_bytes()
        found.append(_Entry(os.path.relpath(entry.path, folder), seen.st_mode, content, seen.st_mtime_ns))
    return SmallTree(tuple(found))


def _below(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)
