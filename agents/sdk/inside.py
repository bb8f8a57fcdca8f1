"""Reading files that a tool, or a repository, may have put there: never outside the folder they belong to.

The worker that reads them sees more of the machine than the tool does; a symbolic link must not lend it that.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from agents.sdk.workspace import AgentError

LARGEST = 64 * 1024 * 1024  # bytes


def read_inside(folder: Path, name: str | Path, largest: int = LARGEST) -> bytes | None:
    """The content of a regular file below ``folder``; None where there is none.

    Links that stay inside are followed. Raises: AgentError for one that leads out, or for a file that is too large.
    """
    root = folder.resolve()
    path = root / name
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    if not real.is_relative_to(root):
        raise AgentError(f"{name} leads out of {folder.name}", "replace the link by the file")
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            return None
        if seen.st_size > largest:
            raise AgentError(f"{name} has {seen.st_size} bytes; at most {largest} are read")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(largest)
    finally:
        os.close(descriptor)
