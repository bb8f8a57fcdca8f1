"""The bus in one process: partitions, offsets and groups as in Kafka, and faults on demand.

It has no thread of its own, and nothing in it depends on chance: a poll with no time to wait never
blocks, so that a simulator can drive producers and consumers step by step. Waiting polls wait on one
condition. Time stamps come from the clock that is passed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from threading import Condition
from zlib import crc32

from turnout.adapters.limits import refuse_large
from turnout.adapters.memory_consumer import MemoryConsumer, MemoryTail
from turnout.adapters.memory_group import Group, Partition
from turnout.core.envelope import Received, Record
from turnout.core.errors import PermanentError, TransientError
from turnout.core.topics import TOPICS, Topic


class Fault(Enum):
    """What goes wrong with one `publish`."""

    LOST = "nothing is appended, and the producer hears of it"
    UNACKNOWLEDGED = "all is appended, and the producer hears that it is not known"
    HALF = "the first half is appended, and the producer hears that it is not known"
    DUPLICATED = "all is appended twice, and acknowledged"


@dataclass(slots=True)
class _Log:
    start: int = 0
    records: list[Received] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.start + len(self.records)


class MemoryBus:
    """``on_publish`` is asked before each publish which fault to make of it, if any.

    ``clock`` gives seconds since the epoch, for the records' time stamps.
    """

    def __init__(self, topics: Sequence[Topic] = TOPICS, clock: Callable[[], float] = time.time) -> None:
        self.on_publish: Callable[[Sequence[Record]], Fault | None] | None = None
        self.changed = Condition()
        self._topics = {each.name: each for each in topics}
        self._clock = clock
        self._logs: dict[Partition, _Log] = {
            (each.name, number): _Log() for each in topics for number in range(each.partitions)
        }
        self._groups: dict[str, Group] = {}
        self._faults: deque[Fault] = deque()
        self._joined = 0

    # --- the port -------------------------------------------------------------------------------

    def producer(self) -> MemoryProducer:
        return MemoryProducer(self)

    def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> MemoryConsumer:
        with self.changed:
            for topic in topics:
                self._known(topic)
            self._joined += 1
            joined = self._groups.setdefault(group, Group())
            return MemoryConsumer(self, joined, frozenset(topics), member or f"member-{self._joined}")

    def tail(self, topics: Sequence[str], *, from_start: bool = False) -> MemoryTail:
        with self.changed:
            logs = {each: self._logs[each] for topic in topics for each in self.partitions(topic)}
            return MemoryTail(
                self, {each: log.start if from_start else log.end for each, log in logs.items()}
            )

    def lag(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        with self.changed:
            committed = self._groups[group].committed if group in self._groups else {}
            found = {}
            for each in [each for topic in topics for each in self.partitions(topic)]:
                log = self._logs[each]
                found[each] = log.end - max(committed.get(each, 0), log.start)
            return found

    def ensure_topics(self) -> None:
        """They are there from the start."""

    # --- for tests and the simulator ------------------------------------------------------------

    def fail_publish(self, fault: Fault, times: int = 1) -> None:
        """The next ``times`` publishes suffer ``fault``."""
        with self.changed:
            self._faults.extend([fault] * times)

    def kill(self, consumer: MemoryConsumer) -> None:
        """The consumer's process is gone, and the group has noticed: others take over."""
        with self.changed:
            consumer.leave()
            self.changed.notify_all()

    def rebalance(self, group: str) -> None:
        """Every member loses all it owns and gets a share anew; what was not committed is read again."""
        with self.changed:
            self._groups[group].shuffle(self._all)
            self.changed.notify_all()

    def wipe(self) -> None:
        """Forget every record, as if retention had passed; offsets go on."""
        with self.changed:
            for log in self._logs.values():
                log.start = log.end
                log.records.clear()

    def records(self, topic: str) -> tuple[Received, ...]:
        """All that is kept of a topic, partition by partition."""
        with self.changed:
            return tuple(found for each in self.partitions(topic) for found in self._logs[each].records)

    def committed(self, group: str) -> Mapping[Partition, int]:
        with self.changed:
            return dict(self._groups[group].committed) if group in self._groups else {}

    # --- for its own ends; the lock is held -----------------------------------------------------

    def partitions(self, topic: str) -> list[Partition]:
        return [(topic, number) for number in range(self._known(topic).partitions)]

    def share(self, group: Group) -> None:
        group.share(self._all)
        self.changed.notify_all()

    def read(self, partition: Partition, offset: int, count: int) -> Sequence[Received]:
        log = self._logs[partition]
        first = max(offset - log.start, 0)
        return log.records[first : first + count]

    def append(self, records: Sequence[Record]) -> None:
        for record in records:
            partition = (
                crc32(record.key.encode(errors="surrogateescape")) % self._known(record.topic).partitions
            )
            log = self._logs[(record.topic, partition)]
            log.records.append(Received(record, partition, log.end, self._clock()))
        self.changed.notify_all()

    def check(self, records: Sequence[Record]) -> Fault | None:
        """Refuse what can never be taken; the fault that this publish is to suffer."""
        for record in records:
            self._known(record.topic)
            refuse_large(record)
        if self._faults:
            return self._faults.popleft()
        return self.on_publish(records) if self.on_publish is not None else None

    def _known(self, topic: str) -> Topic:
        found = self._topics.get(topic)
        if found is None:
            raise TransientError(f"there is no topic {topic}", "make it with ensure_topics")
        return found

    def _all(self, topic: str) -> list[Partition]:
        return self.partitions(topic)


class MemoryProducer:
    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._closed = False

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:  # noqa: ARG002 — never waits
        with self._bus.changed:
            if self._closed:
                raise PermanentError("this producer is closed", "ask the bus for another one")
            match self._bus.check(records):
                case None:
                    self._bus.append(records)
                case Fault.DUPLICATED:
                    self._bus.append([*records, *records])
                case Fault.LOST:
                    raise TransientError("the broker did not answer", "publish again")
                case Fault.UNACKNOWLEDGED:
                    self._bus.append(records)
                    raise TransientError("the broker did not acknowledge", "publish again")
                case Fault.HALF:
                    self._bus.append(records[: len(records) // 2])
                    raise TransientError("the broker did not acknowledge", "publish again")

    def close(self) -> None:
        self._closed = True
