"""Files that change hands: given to the tool's user before it runs, removable afterwards."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from turnout.core.errors import PermanentError

DEEPEST = 200
"""Folders within each other: further down nothing is given away, and removing goes on from the top."""


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
                _claim_below(descriptor, owner, DEEPEST)
        finally:
            os.close(descriptor)
    except OSError as problem:
        raise PermanentError(
            f"{path} cannot be given to user {owner}, as whom tools run: {problem.strerror}",
            "let the folder be on a file system where root may change owners, or start Turnout as an ordinary user",
        ) from problem


def _claim_below(folder: int, owner: int, deepest: int) -> None:
    if deepest == 0:
        raise PermanentError(
            f"a folder in the workspace is nested in more than {DEEPEST} others", "flatten the repository"
        )
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
                    _claim_below(inner, owner, deepest - 1)
                elif stat.S_ISREG(held.st_mode) and held.st_nlink == 1:
                    _give(inner, held, owner)
            finally:
                os.close(inner)


def _give(descriptor: int, held: os.stat_result, owner: int) -> None:
    if held.st_uid != owner or held.st_gid != owner:
        # By way of /proc, because fchown refuses a descriptor that was opened with O_PATH.
        os.chown(f"/proc/self/fd/{descriptor}", owner, owner)


def remove_tree(path: str | Path) -> None:
    """Remove a folder that tools wrote to: also where they made folders read-only (Go's module cache does), and
    however deep they nested them.

    A path that does not exist is no error. Raises: OSError for what is not ours to remove.
    """
    try:
        root = _open(os.fspath(path), None)
    except FileNotFoundError:
        return
    try:
        while not _emptied(root, root, 0):
            pass  # what was too deep is at the top now
    finally:
        os.close(root)
    os.rmdir(path)


def _emptied(folder: int, root: int, depth: int) -> bool:
    """Remove all that is in an open folder. False: the root has got new folders meanwhile."""
    done = True
    with os.scandir(folder) as entries:
        seen = list(entries)
    for entry in seen:
        try:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=folder)
                continue
            inner = _open(entry.name, folder)
            try:
                if depth < DEEPEST:
                    done &= _emptied(inner, root, depth + 1)
                else:
                    # A folder that is moved must be ours to write, as it is now; its name is nobody else's.
                    name = f"{secrets.token_hex(16)}.deep"
                    os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=root)
                    done = False
                    continue
            finally:
                os.close(inner)
            os.rmdir(entry.name, dir_fd=folder)
        except FileNotFoundError:
            continue  # another one removes it, too
    return done


def _open(name: str, folder: int | None) -> int:
    """A folder, opened and made ours to read and change; a link is not followed."""
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, os.O_RDONLY | flags, dir_fd=folder)
    except PermissionError:
        if not hasattr(os, "O_PATH"):  # macOS, where root's tools are no others
            os.chmod(name, stat.S_IRWXU, dir_fd=folder)
            return os.open(name, os.O_RDONLY | flags, dir_fd=folder)
        held = os.open(name, os.O_PATH | flags, dir_fd=folder)
        try:
            os.chmod(f"/proc/self/fd/{held}", stat.S_IRWXU)
            descriptor = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(held)
    if os.fstat(descriptor).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(descriptor, stat.S_IRWXU)
    return descriptor
