"""What has been read ahead of one partition, and in which order it becomes done.

Positions only move forward: the offset that is committed says that everything below is started, dropped or refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from turnout.core import messages as m
from turnout.core.envelope import Received
from turnout.core.ports import Position

DEPTH = 500  # records of one partition that are read ahead, so that a cancel is seen behind many tasks


@dataclass(slots=True)
class Entry:
    """``task``: None for a record that only has to be passed over. ``not_before``: by `time.monotonic`."""

    position: Position
    task: m.TaskRequested | None
    not_before: float = 0.0


@dataclass(slots=True)
class Buffer:
    """By partition, in order. ``passed``: where nothing is left to do below, but it isn't committed yet."""

    entries: dict[tuple[str, int], deque[Entry]] = field(default_factory=dict)
    passed: dict[tuple[str, int], Position] = field(default_factory=dict)

    def add(self, received: Received, task: m.TaskRequested | None) -> None:
        place = (received.record.topic, received.partition)
        position = Position(*place, received.offset + 1)
        queue = self.entries.setdefault(place, deque())
        if queue and position.offset <= queue[-1].position.offset:  # read again, after a rebalance
            queue.clear()
            self.passed.pop(place, None)
        queue.append(Entry(position, task))
        self._pass(place)

    def drop(self, attempt: str) -> m.TaskRequested | None:
        """Forget a task that has not been started; it is passed over in its turn."""
        for place, queue in self.entries.items():
            for entry in queue:
                if entry.task is not None and entry.task.attempt == attempt:
                    task, entry.task = entry.task, None
                    self._pass(place)
                    return task
        return None

    def heads(self, now: float) -> Iterator[Entry]:
        """The next task of each partition, if its time has come."""
        for queue in list(self.entries.values()):
            if queue and queue[0].not_before <= now:
                yield queue[0]

    def next_time(self, now: float) -> float | None:
        """When the earliest head that has to wait may be tried."""
        times = [
            queue[0].not_before for queue in self.entries.values() if queue and queue[0].not_before > now
        ]
        return min(times, default=None)

    def done(self, entry: Entry) -> None:
        """The head is started or refused, and that is committed or will be."""
        place = (entry.position.topic, entry.position.partition)
        queue = self.entries.get(place)
        if queue and queue[0] is entry:
            entry.task = None
            self._pass(place)

    def committed(self, positions: list[Position]) -> None:
        for each in positions:
            place = (each.topic, each.partition)
            if self.passed.get(place) == each:
                del self.passed[place]

    def keep(self, owned: frozenset[tuple[str, int]]) -> None:
        """Forget partitions that are another member's now."""
        for place in self.entries.keys() - owned:
            del self.entries[place]
        for place in self.passed.keys() - owned:
            del self.passed[place]

    def full(self) -> set[tuple[str, int]]:
        return {place for place, queue in self.entries.items() if len(queue) >= DEPTH}

    def _pass(self, place: tuple[str, int]) -> None:
        queue = self.entries[place]
        while queue and queue[0].task is None:
            self.passed[place] = queue.popleft().position
