"""Artifacts in a folder: a key is a path below it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from turnout.core.errors import NotFound, PermanentError, TransientError, TurnoutError
from turnout.core.ports import StoredArtifact, UploadUrl

_INCOMING = ".incoming"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_serial = itertools.count(1)


class FileArtifacts:
    """A file is seen whole or not at all, unless it was made by `append`. Thread-safe, and safe across processes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(
        self,
        key: str,
        content: bytes,
        media_type: str = "application/octet-stream",  # noqa: ARG002 - the port's
    ) -> StoredArtifact:
        """``media_type`` is not kept here: the name's ending says it."""
        path = self._path(key)
        incoming = self._root / _INCOMING / f"{os.getpid()}-{next(_serial)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            incoming.parent.mkdir(exist_ok=True, mode=0o700)
            try:
                incoming.write_bytes(content)
                incoming.replace(path)
            finally:
                incoming.unlink(missing_ok=True)
        except OSError as error:
            raise _said(key, error) from error
        return StoredArtifact(key, len(content), hashlib.sha256(content).hexdigest())

    def upload_url(self, key: str, *, size: int, sha256: str, media_type: str) -> UploadUrl | None:  # noqa: ARG002 - the port's
        """None: a folder has no address."""
        return None

    def put_stream(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        size: int,
        sha256: str,
        media_type: str,  # noqa: ARG002 - the port's
    ) -> StoredArtifact:
        path = self._path(key)
        incoming = self._root / _INCOMING / f"{os.getpid()}-{next(_serial)}"
        digest, received = hashlib.sha256(), 0
        try:
            incoming.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with incoming.open("xb") as file:
                    for chunk in chunks:
                        received += len(chunk)
                        if received > size:
                            break
                        digest.update(chunk)
                        file.write(chunk)
                if received != size or digest.hexdigest() != sha256.lower():
                    raise PermanentError(
                        f"artifact {key}: what came is not what was announced ({size} bytes, sha256 {sha256})",
                        "send it whole",
                    )
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                incoming.replace(path)
            finally:
                incoming.unlink(missing_ok=True)
        except OSError as error:
            raise _said(key, error) from error
        return StoredArtifact(key, size, digest.hexdigest())

    def size(self, key: str) -> int:
        try:
            found = self._path(key).stat()
            return found.st_size if stat.S_ISREG(found.st_mode) else 0
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError as error:
            raise _said(key, error) from error

    def usage(self, prefix: str) -> tuple[int, int]:
        sizes = [self.size(key) for key in self.list(prefix)]
        return len(sizes), sum(sizes)

    def append(self, key: str, content: bytes) -> None:
        with self._appending(key) as descriptor:
            _write(descriptor, content)

    def append_at(self, key: str, offset: int, content: bytes) -> int:
        """Raises: TransientError; what was added before it stays, and is not added again."""
        with self._appending(key) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is closed
            have = os.fstat(descriptor).st_size
            if offset <= have:
                have += _write(descriptor, content[have - offset :])
            return have

    @contextmanager
    def _appending(self, key: str) -> Iterator[int]:
        """A descriptor that writes at the end."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _said(key, error) from error

    def get(self, key: str, start: int = 0) -> bytes:
        return self.part(key, start, -1)

    def part(self, key: str, start: int, most: int) -> bytes:
        path = self._path(key)
        try:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(most)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound(f"there is no artifact {key!r}") from error
        except OSError as error:
            raise _said(key, error) from error

    def list(self, prefix: str) -> Iterator[str]:
        """In the order of the keys. ``prefix`` may end within a name."""
        folder = prefix.rpartition("/")[0]
        start = self._path(folder) if folder else self._root
        found = []
        for where, folders, files in os.walk(start):
            if Path(where) == self._root and _INCOMING in folders:
                folders.remove(_INCOMING)
            relative = Path(where).relative_to(self._root)
            found += [(relative / name).as_posix() for name in files]
        return iter(sorted(key for key in found if key.startswith(prefix)))

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*parts_of(key))


def parts_of(key: str) -> list[str]:
    """Raises: PermanentError for what is no key."""
    parts = key.split("/")
    if (
        any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
        or parts[0] == _INCOMING
        or "\0" in key
    ):
        raise PermanentError(
            f"{key!r} is no artifact key", "use a relative path without empty parts, `.` and `..`"
        )
    return parts


def _write(descriptor: int, content: bytes) -> int:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return len(content)


def _said(key: str, error: OSError) -> TurnoutError:
    reason = f"artifact {key}: {error.strerror or error}"
    if error.errno in _FULL:
        return TransientError(reason, "make room where artifacts are kept")
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG):
        return PermanentError(reason, "another artifact is in the way: choose another name")
    return TransientError(reason)
