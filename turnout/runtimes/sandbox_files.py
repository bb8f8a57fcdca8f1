"""Files that change hands: given to the tool's user before it runs, removable afterwards."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turnout.core.errors import PermanentError


def claim(path: Path, owner: int, *, deep: bool) -> None:
    """Give a folder to the user, with all that is in it if ``deep``. Only root may.

    Safe beside a hostile tool that still runs in there: folders are walked by descriptor, symbolic links are never
    followed nor changed, and a file with several names is left alone, because its other name may be outside
    (Git shares the objects of a local clone this way; pass it ``--no-hardlinks``).

    Raises: PermanentError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _give(descriptor, os.fstat(descriptor), owner)
            if deep:
                _claim_below(descriptor, owner)
        finally:
            os.close(descriptor)
    except OSError as problem:
        raise PermanentError(
            f"{path} cannot be given to user {owner}, as whom tools run: {problem.strerror}",
            "let the folder be on a file system where root may change owners, or start Turnout as an ordinary user",
        ) from problem


def _claim_below(folder: int, owner: int) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                seen = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(seen.st_mode):
                    inner = os.open(
                        entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
                    )
                elif stat.S_ISREG(seen.st_mode) and seen.st_uid != owner and seen.st_nlink == 1:
                    inner = os.open(entry.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                else:
                    continue
            except FileNotFoundError:
                continue  # a tool of another stage removed it meanwhile
            except NotADirectoryError:
                continue  # … or swapped it for a link, which is not followed
            try:
                # Looked at again through its descriptor: the name may lead elsewhere by now.
                held = os.fstat(inner)
                if stat.S_ISDIR(held.st_mode):
                    _give(inner, held, owner)
                    _claim_below(inner, owner)
                elif stat.S_ISREG(held.st_mode) and held.st_nlink == 1:
                    _give(inner, held, owner)
            finally:
                os.close(inner)


def _give(descriptor: int, held: os.stat_result, owner: int) -> None:
    if held.st_uid != owner or held.st_gid != owner:
        # By way of /proc, because fchown refuses a descriptor that was opened with O_PATH.
        os.chown(f"/proc/self/fd/{descriptor}", owner, owner)


def remove_tree(path: str | Path) -> None:
    """Remove a folder that tools wrote to, also where they made folders read-only (Go's module cache does).

    A path that does not exist is no error. Raises: OSError for what is not ours to remove.
    """

    def unlock(
        remove: Callable[..., Any], name: str, problem: tuple[type[BaseException], BaseException, Any]
    ) -> None:
        if isinstance(problem[1], FileNotFoundError):
            return
        if not isinstance(problem[1], PermissionError):
            raise problem[1]
        for folder in (os.path.dirname(name), name):
            if os.path.isdir(folder) and not os.path.islink(folder):
                os.chmod(folder, stat.S_IRWXU)
        if remove in (os.rmdir, os.unlink):
            remove(name)
        else:
            remove_tree(name)

    shutil.rmtree(path, onerror=unlock)
