"""Unpacking what others have packed."""

from __future__ import annotations

import posixpath
import tarfile
from pathlib import Path


def untar(content: tarfile.TarFile, folder: Path) -> None:
    """Files, folders and links within ``folder``, and nothing else. Raises: tarfile.TarError.

    Python's own filter `data` came with 3.11.4, and Debian 12 has an older one.
    """
    if hasattr(tarfile, "data_filter"):
        content.extractall(folder, filter="data")
        return
    for entry in content.getmembers():
        if entry.issym():
            _inside(entry, posixpath.join(posixpath.dirname(entry.name), entry.linkname))
        elif entry.islnk():
            _inside(entry, entry.linkname)
        elif not (entry.isfile() or entry.isdir()):
            raise tarfile.ExtractError(f"{entry.name} is neither a file nor a folder")
        _inside(entry, entry.name)
        entry.uid = entry.gid = 0
        entry.mode = (entry.mode & 0o755) | 0o600 | (0o100 if entry.isdir() else 0)
    content.extractall(folder)  # noqa: S202 - what would lead out of it was refused


def _inside(entry: tarfile.TarInfo, path: str) -> None:
    if posixpath.isabs(path) or posixpath.normpath(path).startswith(".."):
        raise tarfile.ExtractError(f"{entry.name} leads out of the folder")
