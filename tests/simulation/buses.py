"""The bus of the simulated world, as each process sees it, and the store whose outbox is the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from zlib import crc32

from tests.simulation.faults import PUBLISH, Fault
from tests.simulation.kernel import INSTANT, Kernel, Task
from tests.simulation.wires import POLL, POSITIONS, Wire
from turnout.adapters.memory_bus import MemoryBus
from turnout.adapters.memory_consumer import MemoryConsumer
from turnout.adapters.memory_group import Group, Partition
from turnout.adapters.memory_store import MemoryStore
from turnout.core.envelope import Received, Record
from turnout.core.errors import PermanentError, TransientError
from turnout.core.messages import TaskRequested
from turnout.core.ports import Commit, OutboxRow, Position
from turnout.core.topics import Topic

TASK = TaskRequested.type.encode()
SESSION = 8.0
"""Seconds after which the group takes the partitions of a member that is silent."""


class SimBus(MemoryBus):
    """``copies``: how often the task of each attempt was sent. ``hidden``: partitions that nobody can read until then,
    while their leader is being elected."""

    def __init__(self, topics: Sequence[Topic], kernel: Kernel) -> None:
        super().__init__(topics, clock=lambda: kernel.now)
        self.kernel = kernel
        self.hidden: dict[Partition, float] = {}
        self.members: list[SimConsumer] = []
        self.copies: Counter[str] = Counter()

    def join(self, group: str, topics: Sequence[str], member: str) -> _Member:
        return _Member(self, self._groups.setdefault(group, Group()), frozenset(topics), member)

    def append(self, records: Sequence[Record]) -> None:
        super().append(records)
        changed = set()
        for each in records:
            changed.add((each.topic, crc32(each.key.encode()) % self._topics[each.topic].partitions))
            if dict(each.headers).get("ce_type") == TASK:
                self.copies[each.key] += 1
        for member in self.members:
            if member.parked is not None and not changed.isdisjoint(member.inner.owned()):
                member.wake()

    def read(self, partition: Partition, offset: int, count: int) -> Sequence[Received]:
        if self.hidden and self.hidden.get(partition, 0.0) > self.kernel.now:
            return ()
        return super().read(partition, offset, count)

    def go_back(self, group: str, chance: float) -> None:
        """The group's positions are lost in part: it reads again from older ones."""
        committed = self._groups[group].committed if group in self._groups else {}
        for partition in committed:
            committed[partition] = int(committed[partition] * chance)
        self.rebalance_now(group)

    def rebalance_now(self, group: str) -> None:
        if group in self._groups:
            self.rebalance(group)
            self.show_all()

    def share(self, group: Group) -> None:
        super().share(group)
        self.show_all()

    def show_all(self) -> None:
        for member in self.members:
            member.wake()

    def forget(self, member: SimConsumer) -> None:
        """The group has noticed that the member is silent: others take over."""
        if not member.evicted and member in self.members:
            member.evicted = True
            self.kill(member.inner)
            self.show_all()
            if not member.wire.process.alive:
                self.members.remove(member)


class _Member(MemoryConsumer):
    """Can forget that it has read something."""

    def owned(self) -> Collection[Partition]:
        """As far as it knows."""
        return self._positions.keys()

    def unread(self, batch: Sequence[Received]) -> None:
        """These have not been seen by anybody."""
        for each in reversed(batch):
            partition = (each.record.topic, each.partition)
            if partition in self._positions:
                self._positions[partition] = each.offset


class SimConsumer:
    """A member of a group, in one process. It joins again by itself when the group had thought it dead."""

    def __init__(self, bus: SimBus, wire: Wire, group: str, topics: Sequence[str], member: str) -> None:
        self.bus = bus
        self.wire = wire
        self.group = group
        self.topics = frozenset(topics)
        self.member = member
        self.evicted = False
        self.parked: Task | None = None
        self._woken = False
        self.inner = bus.join(group, topics, member)
        for other in [each for each in bus.members if each.member == member and each.group == group]:
            bus.members.remove(other)
        bus.members.append(self)
        wire.process.on_death.append(self._left)

    def _left(self) -> None:
        self.parked = None
        self.bus.kernel.after(SESSION, lambda: self.bus.forget(self))

    def poll(self, timeout: float, max_records: int = 100) -> Sequence[Received]:
        kernel = self.bus.kernel
        end = kernel.now + max(timeout, INSTANT) / self.wire.process.drift
        before = self.inner.assignment()
        while True:
            if self.evicted:
                self.inner = self.bus.join(self.group, sorted(self.topics), self.member)
                self.evicted = False
                return ()
            if self.wire.faults.cut(self.wire.process.name, "bus", kernel.now):
                kernel.sleep(min(1.0, max(0.05, end - kernel.now)))
                batch: Sequence[Received] = ()
            else:
                batch = self._take(max_records)
            if batch or self._woken or self.inner.assignment() != before or kernel.now >= end:
                self._woken = False
                return batch
            self.parked = kernel.task
            kernel.wait(max(0.0, end - kernel.now))
            self.parked = None

    def _take(self, count: int) -> Sequence[Received]:
        """Asks what can go wrong only where there is something to be lost."""
        inner = self.inner
        batch = inner.poll(0, count)
        if not batch:
            return batch
        try:
            return self.wire.call("bus", "poll", POLL, lambda: batch)
        except TransientError:
            inner.unread(batch)
            raise

    def commit(self, positions: Sequence[Position]) -> None:
        self.wire.call("bus", "commit", POSITIONS, lambda: self.inner.commit(positions))

    def pause(self, partitions: Collection[Partition]) -> None:
        self.inner.pause(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        self.inner.resume(partitions)

    def assignment(self) -> frozenset[Partition]:
        return frozenset() if self.evicted else self.inner.assignment()

    def wake(self) -> None:
        self._woken = True
        if self.parked is not None:
            self.bus.kernel.wake(self.parked, 0.001 + 0.01 * self.wire.process.chance.random())

    def close(self) -> None:
        if self.wire.process.alive:
            self.inner.close()
            self.bus.members.remove(self)


class SimProducer:
    """`Fault.TWICE`, `Fault.HALF` and the rest, for one publish."""

    def __init__(self, bus: SimBus, wire: Wire) -> None:
        self._bus = bus
        self._wire = wire
        self._inner = bus.producer()

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:
        if records:
            self._wire.call(
                "bus", "publish", PUBLISH, lambda: self._inner.publish(records), partial(self._badly, records)
            )

    def _badly(self, records: Sequence[Record], fault: Fault) -> None:
        if fault is Fault.TWICE:
            self._inner.publish([*records, *records])
            return
        self._inner.publish(records[: len(records) // 2])
        raise TransientError("the broker did not acknowledge")

    def close(self) -> None: ...


class ProcessBus:
    """`turnout.core.ports.Bus`, for one process."""

    def __init__(self, bus: SimBus, wire: Wire) -> None:
        self._bus = bus
        self._wire = wire

    def producer(self) -> SimProducer:
        return SimProducer(self._bus, self._wire)

    def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> SimConsumer:
        return SimConsumer(self._bus, self._wire, group, topics, member)

    def tail(self, topics: Sequence[str], *, from_start: bool = False) -> object:
        raise PermanentError("nobody tails in the simulated world")


class LogStore(MemoryStore):
    """The store whose outbox is the log: what a commit sends is on the bus in the same step."""

    def __init__(self, bus: SimBus) -> None:
        super().__init__()
        self._bus = bus

    def commit(self, change: Commit) -> Sequence[OutboxRow]:
        rows = super().commit(change)
        with self._bus.changed:
            self._bus.append([each.record for each in rows])
        for row in rows:
            self._outbox[row.id] = replace(self._outbox[row.id], published_at=change.at)
        return ()
