"""A commit's files in a bucket, from where Cloud Build takes them, and a build's log, which it leaves there.

An archive rather than a Git source: Cloud Build need not be connected to where the repository is, no credential of the
checkout leaves the agent, and what is built is what was checked out, to the byte: the build names the object's
generation, so nobody can put another in its place.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.sdk.workspace import AgentError
from turnout.runtimes.google_calls import asking
from turnout.runtimes.reserved import CALL_LIMIT

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

LARGEST = 1024 * 1024 * 1024
"""Bytes of the files of a commit together."""
_PIECE = 256 * 1024  # bytes of log that are read at once
_RIGHTS = "give who asks roles/storage.objectAdmin on the bucket"
_UPLOAD_LIMIT = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Uploaded:
    """``generation``: of exactly this content."""

    bucket: str
    name: str
    generation: int


def archive(checkout: Path, into: Path, committed: int) -> None:
    """The checkout without ``.git`` as a gzipped tar: the same commit gives the same bytes. Links are kept as links.

    Raises: AgentError when it is too large.
    """
    size = 0
    with (
        into.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in _files(checkout):
            entry = tar.gettarinfo(str(path), str(path.relative_to(checkout)))
            if not (entry.isreg() or entry.issym() or entry.isdir()):
                continue  # Git has no others
            size += entry.size
            if size > LARGEST:
                raise AgentError(
                    f"the commit's files have more than {LARGEST // 2**20} MiB",
                    "build with another backend, or keep large files out of the repository",
                )
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = committed
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            if entry.isreg():
                with path.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)


def _files(folder: Path) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        if each.name == ".git":
            continue
        yield each
        if each.is_dir() and not each.is_symlink():
            yield from _files(each)


@dataclass(frozen=True)
class Store:
    """The bucket. Every call raises TransientError and PermanentError."""

    bucket: Bucket

    def put(self, file: Path, name: str) -> Uploaded:
        from google.api_core.exceptions import PreconditionFailed

        blob = self.bucket.blob(name)
        with asking(f"bucket {self.bucket.name}", hint=_RIGHTS):
            try:
                blob.upload_from_filename(
                    str(file),
                    content_type="application/gzip",
                    if_generation_match=0,
                    checksum="auto",
                    timeout=_UPLOAD_LIMIT,
                    retry=None,
                )
            except PreconditionFailed:  # our own try before this one
                blob.reload(timeout=CALL_LIMIT, retry=None)
        return Uploaded(str(self.bucket.name), name, int(blob.generation))

    def remove(self, uploaded: Uploaded) -> None:
        from google.api_core.exceptions import NotFound

        blob = self.bucket.blob(uploaded.name)
        with asking(f"bucket {self.bucket.name}", hint=_RIGHTS):
            try:
                blob.delete(if_generation_match=uploaded.generation, timeout=CALL_LIMIT, retry=None)
            except NotFound:
                pass

    def read(self, name: str, start: int) -> bytes:
        """What an object holds from there on, at most a piece of it; empty: nothing yet."""
        from google.api_core.exceptions import NotFound, RequestRangeNotSatisfiable

        with asking(f"bucket {self.bucket.name}", hint=_RIGHTS):
            try:
                found: Any = self.bucket.blob(name).download_as_bytes(
                    start=start,
                    end=start + _PIECE - 1,
                    raw_download=True,
                    checksum=None,
                    timeout=CALL_LIMIT,
                    retry=None,
                )
            except (NotFound, RequestRangeNotSatisfiable):
                return b""
        return bytes(found)


class Log:
    """A build's log, whole lines of it told as they come."""

    def __init__(self, store: Store, name: str, tell: Callable[[str], None]) -> None:
        self._store = store
        self._name = name
        self._tell = tell
        self._read = 0
        self._half = b""

    def follow(self) -> None:
        """Tell what there is by now. Raises: TransientError, PermanentError."""
        while piece := self._store.read(self._name, self._read):
            self._read += len(piece)
            *lines, self._half = (self._half + piece).split(b"\n")
            for line in lines:
                self._tell(line.decode("utf-8", "replace").rstrip("\r"))

    def finish(self) -> None:
        """As `follow`, and what is left without an end of line."""
        self.follow()
        if self._half:
            self._tell(self._half.decode("utf-8", "replace"))
            self._half = b""
