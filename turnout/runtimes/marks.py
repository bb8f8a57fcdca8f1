"""A mark on disk that the first process of an attempt leaves, so that there is one. Imports next to nothing.

Source: proc(5), link(2) (which makes nothing where something is already).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing would import re
if TYPE_CHECKING:
    from pathlib import Path


def started_at(pid: int) -> str:
    """What tells a process from a later one of the same number, in the kernel's ticks; empty: it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def claim(mark: str) -> bool:
    """Whether this process is the first that comes: the mark says its number and its start. Empty: nobody asks.

    Raises: OSError.
    """
    if not mark:
        return True
    own = f"{mark}.{os.getpid()}"
    with open(own, "w") as file:
        file.write(f"{os.getpid()} {started_at(os.getpid())}\n")
    try:
        os.link(own, mark)
    except FileExistsError:
        return False
    finally:
        os.unlink(own)
    return True


def claimed_by(mark: Path) -> tuple[int, bool] | None:
    """The process that left it, and whether it lives; None: there is none, or one that cannot be read."""
    try:
        number, born = mark.read_text().split()
        return int(number), started_at(int(number)) == born
    except (FileNotFoundError, ValueError):
        return None
