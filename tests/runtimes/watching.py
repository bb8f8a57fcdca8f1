"""Which processes live, for the tests of the sandbox and of processes."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

_serial = itertools.count(1)


def unique_seconds() -> str:
    """An argument for ``sleep`` that no other process on this machine has."""
    return f"{3000 + next(_serial)}.{os.getpid()}"


def living(word: str) -> list[int]:
    """The processes that have this word among their arguments, and are not mere zombies."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if word.encode() in words:
                found.append(int(folder.name))
    return found
