"""Artifacts in a bucket of an object store.

What is put is one object, ``files/KEY``. What is appended to is a row of objects that are made once and never changed,
``logs/KEY/NUMBER``, each named after the byte that it begins at. So no piece can be lost or come twice: a piece begins
where the last one ends, the store makes an object of a name once only, and whoever comes second looks again. The
numbers count down, so that the newest piece is the first one in a listing, however many there are.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from turnout.adapters.artifacts import parts_of
from turnout.core.errors import NotFound, PermanentError, TransientError
from turnout.core.ports import StoredArtifact, UploadUrl

URL_GOOD_FOR = 600  # seconds
CHUNK = 8 * 1024 * 1024  # bytes of an upload that are held in memory
READERS = 8  # pieces that are read at once
_TRIES = 100  # against that many other writers in a row
_DIGITS = 15
_LAST = 10**_DIGITS - 1
_LONGEST = 900  # bytes of a key: stores allow names of 1024, with what we put before and after it


class Bucket(Protocol):
    """What is asked of an object store. Everything may raise TransientError and PermanentError."""

    def put(self, name: str, content: bytes, media_type: str) -> None: ...

    def make(self, name: str, content: bytes, mark: str) -> bool:
        """False: there is one of this name already. ``mark`` is kept with it."""
        ...

    def mark(self, name: str) -> str: ...

    def put_stream(self, name: str, chunks: Iterable[bytes], media_type: str) -> None:
        """Nothing is kept when ``chunks`` raises."""
        ...

    def upload_url(self, name: str, *, size: int, sha256: str, media_type: str) -> UploadUrl | None: ...

    def read(self, name: str, start: int, most: int) -> bytes | None:
        """``most`` < 0: all. Empty: nothing from there on; None: there is no such object."""
        ...

    def size(self, name: str) -> int | None: ...

    def names(self, prefix: str, *, after: str = "", page: int = 1000) -> Iterator[tuple[str, int]]:
        """Names and sizes in the order of the names' bytes, asked for ``page`` at a time.

        ``after``: may leave out names up to this one.
        """
        ...


class ObjectArtifacts:
    """``prefix``: of all names, without a slash at its ends; may be empty. Thread-safe, and safe across processes."""

    def __init__(self, bucket: Bucket, prefix: str = "") -> None:
        self._bucket = bucket
        self._files = f"{prefix}/files/" if prefix else "files/"
        self._logs = f"{prefix}/logs/" if prefix else "logs/"

    # --- what is put ------------------------------------------------------------------------------

    def put(self, key: str, content: bytes, media_type: str = "application/octet-stream") -> StoredArtifact:
        self._bucket.put(self._files + _checked(key), content, media_type)
        return StoredArtifact(key, len(content), hashlib.sha256(content).hexdigest())

    def put_stream(
        self, key: str, chunks: Iterable[bytes], *, size: int, sha256: str, media_type: str
    ) -> StoredArtifact:
        name = self._files + _checked(key)
        self._bucket.put_stream(name, _as_announced(key, chunks, size, sha256), media_type)
        return StoredArtifact(key, size, sha256.lower())

    def upload_url(self, key: str, *, size: int, sha256: str, media_type: str) -> UploadUrl | None:
        name = self._files + _checked(key)
        return self._bucket.upload_url(name, size=size, sha256=sha256, media_type=media_type)

    # --- what is appended to ----------------------------------------------------------------------

    def append(self, key: str, content: bytes) -> None:
        mine = uuid.uuid4().hex
        for _ in range(_TRIES):
            name = self._piece(key, self._end(key))
            if not content or self._bucket.make(name, content, mine):
                return
            if self._bucket.mark(name) == mine:  # an earlier try has arrived, only its answer has not
                return
        raise _crowd(key)

    def append_at(self, key: str, offset: int, content: bytes) -> int:
        for _ in range(_TRIES):
            have = self._end(key)
            rest = content[have - offset :] if offset <= have else b""
            if not rest:
                return have
            if self._bucket.make(self._piece(key, have), rest, ""):
                return have + len(rest)
        raise _crowd(key)

    def _piece(self, key: str, start: int) -> str:
        return f"{self._logs}{key}/{_LAST - start:0{_DIGITS}d}"

    def _end(self, key: str) -> int:
        """How many bytes have been appended."""
        _checked(key)
        return next((start + size for start, size, _ in self._pieces(key, page=1)), 0)

    def _pieces(self, key: str, *, before: int = -1, page: int = 1000) -> Iterator[tuple[int, int, str]]:
        """First byte, size and name of each, the newest first. ``before``: only those that begin before this byte."""
        folder = f"{self._logs}{key}/"
        after = self._piece(key, before) if before >= 0 else ""
        for name, size in self._bucket.names(folder, after=after, page=page):
            number = name.removeprefix(folder)
            if len(number) != _DIGITS or not number.isdecimal():
                continue  # of a key below this one
            start = _LAST - int(number)
            if before < 0 or start < before:
                yield start, size, name

    # --- looking ----------------------------------------------------------------------------------

    def get(self, key: str, start: int = 0) -> bytes:
        return self.part(key, start, -1)

    def part(self, key: str, start: int, most: int) -> bytes:
        if most == 0:
            return self.part(key, start, 1)[:0]
        whole = self._bucket.read(self._files + _checked(key), start, most)
        if whole is not None:
            return whole
        wanted: list[tuple[str, int, int]] = []
        for first, size, name in self._pieces(key, before=start + most if most >= 0 else -1):
            if first + size <= start:
                break
            skip = max(0, start - first)
            length = size - skip if most < 0 else min(size, start + most - first) - skip
            wanted.append((name, skip, length))
            if first <= start:
                break
        if not wanted and not self._end(key):
            raise NotFound(f"there is no artifact {key!r}")
        return b"".join(self._read(wanted[::-1]))

    def _read(self, wanted: list[tuple[str, int, int]]) -> Iterable[bytes]:
        def read(piece: tuple[str, int, int]) -> bytes:
            found = self._bucket.read(*piece)
            if found is None:
                raise TransientError(f"artifact {piece[0]}: a piece of it has just been removed")
            return found

        if len(wanted) < 2:
            return map(read, wanted)
        with ThreadPoolExecutor(READERS) as readers:
            return list(readers.map(read, wanted))

    def size(self, key: str) -> int:
        whole = self._bucket.size(self._files + _checked(key))
        return self._end(key) if whole is None else whole

    def list(self, prefix: str) -> Iterator[str]:
        """In the order of the keys. ``prefix`` may end within a name."""
        return iter(sorted(key for key, _ in self._sizes(prefix)))

    def usage(self, prefix: str) -> tuple[int, int]:
        sizes = list(self._sizes(prefix))
        return len(sizes), sum(size for _, size in sizes)

    def _sizes(self, prefix: str) -> Iterable[tuple[str, int]]:
        if folder := prefix.rpartition("/")[0]:
            _checked(folder)
        found: dict[str, int] = {}
        for name, size in self._bucket.names(self._logs + prefix):
            key = name.removeprefix(self._logs).rpartition("/")[0]
            if key.startswith(prefix):
                found[key] = found.get(key, 0) + size
        for name, size in self._bucket.names(self._files + prefix):
            found[name.removeprefix(self._files)] = size
        return found.items()


def _checked(key: str) -> str:
    parts_of(key)
    if len(key.encode()) > _LONGEST:
        raise PermanentError(
            f"{key[:80]!r}… is too long for an artifact key", f"use at most {_LONGEST} bytes"
        )
    return key


def _as_announced(key: str, chunks: Iterable[bytes], size: int, sha256: str) -> Iterator[bytes]:
    """The last of it comes once all of it is known to be right. Raises: PermanentError before that, otherwise."""
    digest, received, held = hashlib.sha256(), 0, b""
    for chunk in chunks:
        received += len(chunk)
        if received > size:
            break
        digest.update(chunk)
        if held:
            yield held
        held = chunk
    if received != size or digest.hexdigest() != sha256.lower():
        raise PermanentError(
            f"artifact {key}: what came is not what was announced ({size} bytes, sha256 {sha256})",
            "send it whole",
        )
    if held:
        yield held


def _crowd(key: str) -> TransientError:
    return TransientError(f"artifact {key}: too many write to it at once")
