"""The bus: both ends of the transport."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from turnout.core.envelope import Received, Record


class Producer(Protocol):
    """Thread-safe."""

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:
        """Return once every record is durable (acknowledged by all in-sync replicas, or committed).

        Records of one key keep their order. Raises: TransientError when it isn't known that all are
        durable (some may be); PermanentError for a record that can never be taken (too large).
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Position:
    """``offset`` is the next one to be read: everything below it is done."""

    topic: str
    partition: int
    offset: int


class Consumer(Protocol):
    """A member of a group. Not thread-safe, but for `wake`.

    Every partition of the subscribed topics is owned by one live member of the group; reading starts at
    the group's committed position (at the beginning where there is none). Delivery is at least once.
    """

    def poll(self, timeout: float, max_records: int = 100) -> Sequence[Received]:
        """Records in order of offset within a partition; waits at most ``timeout`` seconds for the first."""
        ...

    def commit(self, positions: Sequence[Position]) -> None:
        """Raises: Rebalanced (a TransientError) when a partition is not ours any more; nothing of it is committed."""
        ...

    def pause(self, partitions: Collection[tuple[str, int]]) -> None: ...

    def resume(self, partitions: Collection[tuple[str, int]]) -> None: ...

    def assignment(self) -> frozenset[tuple[str, int]]:
        """The (topic, partition) pairs owned now; changes only within `poll`."""
        ...

    def wake(self) -> None:
        """Make a `poll` under way, or the next one, return at once. From any thread."""
        ...

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        ...


class Bus(Protocol):
    """Both ends of the transport. ``member``: a stable name that lets a restarted process take its partitions back."""

    def producer(self) -> Producer: ...

    def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> Consumer: ...

    def tail(self, topics: Sequence[str], *, from_start: bool = False) -> Consumer:
        """A reader of all partitions that belongs to no group and commits nothing (`commit` does nothing)."""
        ...

    def lag(self, group: str, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """Records not yet committed by the group, by (topic, partition)."""
        ...

    def ensure_topics(self) -> None:
        """Make the topics of `turnout.core.topics` that are missing. Idempotent."""
        ...
