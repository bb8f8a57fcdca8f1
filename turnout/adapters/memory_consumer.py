"""Readers of the bus in memory: a member of a group, and a tail."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from turnout.adapters.memory_group import Group, Partition
from turnout.core.envelope import Received
from turnout.core.errors import PermanentError, Rebalanced
from turnout.core.ports import Position

if TYPE_CHECKING:
    from turnout.adapters.memory_bus import MemoryBus


class _Reader:
    """What a member of a group and a tail have in common. ``positions`` are the next offsets to be read."""

    def __init__(self, bus: MemoryBus, positions: dict[Partition, int]) -> None:
        self._bus = bus
        self._positions = positions
        self._paused: set[Partition] = set()
        self._woken = False
        self._closed = False
        self._turn = 0

    def poll(self, timeout: float, max_records: int = 100) -> Sequence[Received]:
        deadline = time.monotonic() + timeout if timeout > 0 else 0.0
        with self._bus.changed:
            while True:
                if self._closed:
                    raise PermanentError("this consumer is closed", "ask the bus for another one")
                interrupted = self._sync()
                batch = [] if interrupted else self._collect(max_records)
                left = deadline - time.monotonic() if timeout > 0 else 0.0
                if batch or interrupted or self._woken or left <= 0:
                    self._woken = False
                    return batch
                self._bus.changed.wait(left)

    def pause(self, partitions: Collection[Partition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        self._paused.difference_update(partitions)

    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._positions)

    def wake(self) -> None:
        with self._bus.changed:
            self._woken = True
            self._bus.changed.notify_all()

    def _sync(self) -> bool:
        """Learn what the group has decided; whether something that was ours has been lost."""
        return False

    def _collect(self, count: int) -> list[Received]:
        batch: list[Received] = []
        partitions = sorted(self._positions)
        self._turn += 1  # each poll begins with another partition, so that a busy one starves none
        for step in range(len(partitions)):
            partition = partitions[(self._turn + step) % len(partitions)]
            if partition in self._paused or len(batch) >= count:
                continue
            found = self._bus.read(partition, self._positions[partition], count - len(batch))
            if found:
                self._positions[partition] = found[-1].offset + 1
                batch.extend(found)
        return batch


class MemoryTail(_Reader):
    def commit(self, positions: Sequence[Position]) -> None:
        """A tail commits nothing."""

    def close(self) -> None:
        self._closed = True


class MemoryConsumer(_Reader):
    """Joins its group with the first poll. A second one with the same ``member`` takes this one's place."""

    def __init__(self, bus: MemoryBus, group: Group, topics: frozenset[str], member: str) -> None:
        super().__init__(bus, {})
        self._group = group
        self._topics = topics
        self._member = member
        self._ticket = 0
        self._epochs: dict[Partition, int] = {}
        self._seen = -1

    def commit(self, positions: Sequence[Position]) -> None:
        with self._bus.changed:
            for position in positions:
                partition = (position.topic, position.partition)
                if not self._group.owns(self._member, self._ticket, partition, self._epochs.get(partition)):
                    raise Rebalanced(
                        f"partition {position.partition} of {position.topic} is not ours any more"
                    )
            for position in positions:
                self._group.committed[(position.topic, position.partition)] = position.offset

    def close(self) -> None:
        with self._bus.changed:
            self.leave()

    def leave(self) -> None:
        """The lock is held."""
        self._closed = True
        self._positions.clear()
        if self._group.leave(self._member, self._ticket):
            self._bus.share(self._group)

    def _sync(self) -> bool:
        if not self._ticket:
            self._ticket = self._group.join(self._member, self._topics)
            self._bus.share(self._group)
        elif self._seen == self._group.changes:
            return False
        elif not self._group.has(self._member, self._ticket):
            raise PermanentError(
                f"another process runs as member {self._member}", "give each process a member name of its own"
            )
        owned = self._group.owned(self._member)
        lost = [each for each, epoch in self._epochs.items() if owned.get(each) != epoch]
        for partition in lost:
            del self._positions[partition], self._epochs[partition]
            self._paused.discard(partition)
        if lost:
            return True  # seen by the caller before any of it comes back
        self._seen = self._group.changes
        for partition, epoch in owned.items():
            if partition not in self._epochs:
                self._epochs[partition] = epoch
                self._positions[partition] = self._group.committed.get(partition, 0)
        return False
