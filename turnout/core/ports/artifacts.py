"""What attempts leave behind: logs, reports, files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class UploadUrl:
    """Where one announced content may be put, by HTTP PUT. ``headers`` are signed, too: all of them have to be sent."""

    url: str = field(repr=False)
    headers: Mapping[str, str]


class Artifacts(Protocol):
    """Keys are relative posix paths; ``..`` and absolute ones are refused with PermanentError.

    A key is put or appended to, never both.
    """

    def put(
        self, key: str, content: bytes, media_type: str = "application/octet-stream"
    ) -> StoredArtifact: ...

    def append(self, key: str, content: bytes) -> None:
        """Add to the end (logs). The adapter may buffer until `get` or `close`."""
        ...

    def get(self, key: str, start: int = 0) -> bytes:
        """Raises: NotFound."""
        ...

    def list(self, prefix: str) -> Iterator[str]: ...


class Uploads(Artifacts, Protocol):
    """Artifacts that come from elsewhere, of somebody who is not trusted with the store."""

    def upload_url(self, key: str, *, size: int, sha256: str, media_type: str) -> UploadUrl | None:
        """Where exactly this content may be put within minutes, by HTTP PUT; None: this store offers no such address.

        ``sha256`` in hex.
        """
        ...

    def put_stream(
        self, key: str, chunks: Iterable[bytes], *, size: int, sha256: str, media_type: str
    ) -> StoredArtifact:
        """Kept whole or not at all. Raises: PermanentError when the content is not what it was said to be."""
        ...

    def append_at(self, key: str, offset: int, content: bytes) -> int:
        """Add what is missing of ``content``, whose first byte is byte ``offset``; how many bytes there are then.

        Nothing is added where ``offset`` lies beyond the end. No other writer comes in between, in any process.
        """
        ...

    def size(self, key: str) -> int:
        """Bytes; 0: there is none."""
        ...

    def usage(self, prefix: str) -> tuple[int, int]:
        """How many there are below ``prefix`` (a folder, with its ``/``), and their bytes."""
        ...


class Reading(Protocol):
    """Artifacts as people look at them: a part at a time, however large they are."""

    def part(self, key: str, start: int, most: int) -> bytes:
        """At most ``most`` bytes from byte ``start`` on; empty: there are none there. Raises: NotFound."""
        ...

    def size(self, key: str) -> int:
        """Bytes; 0: there is none."""
        ...
