"""Records on their way: taken from partitions, handed out in order of their keys, committed without gaps.

A state machine without a clock, a thread or a transport: the caller serialises access and passes the
time (seconds, any monotonic origin). What it keeps true:

- of one key of one partition at most one record is out, and they go out in the order of their offsets;
- a record that waits for its next try holds back its own key only;
- a position never passes a record that is not finished;
- a partition that was lost takes its records with it, and late word on them changes nothing, except that
  their keys stay taken until they are back, so that two tries of one key never overlap.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from turnout.core.envelope import Received
from turnout.core.ports import Position

Partition = tuple[str, int]
Lane = tuple[str, int, str]
"""Topic, partition, key: what keeps its order."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One record, handed out. ``tries``: failed ones before this. ``counted``: those of them that count.

    ``since``: when it was first handed out. ``epoch`` tells one ownership of the partition from the next.
    """

    received: Received
    tries: int
    counted: int
    since: float
    epoch: int

    @property
    def lane(self) -> Lane:
        return (self.received.record.topic, self.received.partition, self.received.record.key)


@dataclass(slots=True)
class _Waiting:
    received: Received
    epoch: int
    tries: int = 0
    counted: int = 0
    since: float | None = None
    due: float = 0.0


@dataclass(slots=True)
class _Owned:
    """One ownership of a partition. ``unfinished``: offsets, in order. ``following``: the next to be read."""

    epoch: int
    start: int = -1
    following: int = -1
    committed: int = -1
    paused: bool = False
    unfinished: OrderedDict[int, None] = field(default_factory=OrderedDict)

    def position(self) -> int:
        """Everything below it is finished; -1: nothing was read yet."""
        return next(iter(self.unfinished)) if self.unfinished else self.following


class Inflight:
    """``limit``: records out at once. ``buffer``: unfinished records at which a partition should pause."""

    def __init__(self, limit: int, buffer: int = 1000) -> None:
        self._limit = limit
        self._buffer = buffer
        self._epochs = 0
        self._owned: dict[Partition, _Owned] = {}
        self._lanes: dict[Lane, deque[_Waiting]] = {}
        self._out: set[Lane] = set()
        self._ready: OrderedDict[Lane, None] = OrderedDict()
        self._due: list[tuple[float, int, Lane, _Waiting]] = []
        self._sequence = 0

    @property
    def out(self) -> int:
        """Records handed out and not back yet."""
        return len(self._out)

    @property
    def unfinished(self) -> int:
        """Records taken and neither finished nor lost."""
        return sum(len(each.unfinished) for each in self._owned.values())

    @property
    def ready(self) -> int:
        """Records that could go out now, but for the limit."""
        return len(self._ready)

    # --- in -------------------------------------------------------------------------------------

    def own(self, partitions: Collection[Partition]) -> None:
        """These partitions are ours now. What was taken from any other is forgotten."""
        for partition in [each for each in self._owned if each not in partitions]:
            self._forget(partition)
        for partition in partitions:
            if partition not in self._owned:
                self._begin(partition)

    def take(self, batch: Iterable[Received]) -> int:
        """The number of records that are new.

        Read again are those below an offset that was seen already: they are out, or finished. An offset
        below the first one seen means that the log has begun anew, and so does its partition here.
        """
        new = 0
        for received in batch:
            partition = (received.record.topic, received.partition)
            owned = self._owned.get(partition)
            if owned is None:
                owned = self._begin(partition)
            elif received.offset < owned.start:
                self._forget(partition)
                owned = self._begin(partition)
            elif received.offset < owned.following:
                continue
            if owned.start < 0:
                owned.start = owned.committed = received.offset
            owned.following = received.offset + 1
            owned.unfinished[received.offset] = None
            self._queue(_Waiting(received, owned.epoch))
            new += 1
        return new

    # --- out ------------------------------------------------------------------------------------

    def next(self, now: float) -> Ticket | None:
        """The record to deliver now; None: nothing is ready, or as many are out as may be."""
        self._wake(now)
        if len(self._out) >= self._limit or not self._ready:
            return None
        lane, _ = self._ready.popitem(last=False)
        head = self._lanes[lane][0]
        if head.since is None:
            head.since = now
        self._out.add(lane)
        return Ticket(head.received, head.tries, head.counted, head.since, head.epoch)

    def next_due(self) -> float | None:
        """When the next waiting record may be tried again; None: none waits."""
        while self._due and not self._is_head(self._due[0][2], self._due[0][3]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    # --- back -----------------------------------------------------------------------------------

    def done(self, ticket: Ticket) -> None:
        """Delivered, or safe in the dead letters."""
        owned = self._back(ticket)
        if owned is not None:
            self._lanes[ticket.lane].popleft()
            owned.unfinished.pop(ticket.received.offset, None)
        self._release(ticket.lane)

    def retry(self, ticket: Ticket, due: float, counts: bool = True) -> None:
        """To be handed out again at ``due``; its key waits for it."""
        if self._back(ticket) is not None:
            head = self._lanes[ticket.lane][0]
            head.due = due
            head.tries += 1
            head.counted += counts
        self._release(ticket.lane)

    # --- positions ------------------------------------------------------------------------------

    def positions(self) -> tuple[Position, ...]:
        """Where each partition may be committed, for those that have moved since `committed`."""
        return tuple(
            Position(topic, partition, owned.position())
            for (topic, partition), owned in sorted(self._owned.items())
            if owned.position() > owned.committed
        )

    def committed(self, positions: Iterable[Position]) -> None:
        """These have been committed. A partition that has changed hands since is left alone."""
        for position in positions:
            owned = self._owned.get((position.topic, position.partition))
            if owned is not None and owned.start <= position.offset <= owned.position():
                owned.committed = max(owned.committed, position.offset)

    def pressure(self) -> tuple[frozenset[Partition], frozenset[Partition]]:
        """The partitions to pause and those to resume; each is named once, when that changes."""
        full, free = set(), set()
        for partition, owned in self._owned.items():
            if not owned.paused and len(owned.unfinished) >= self._buffer:
                owned.paused = True
                full.add(partition)
            elif owned.paused and len(owned.unfinished) <= self._buffer // 2:
                owned.paused = False
                free.add(partition)
        return frozenset(full), frozenset(free)

    # --- inside ---------------------------------------------------------------------------------

    def _begin(self, partition: Partition) -> _Owned:
        self._epochs += 1
        owned = self._owned[partition] = _Owned(self._epochs)
        return owned

    def _forget(self, partition: Partition) -> None:
        del self._owned[partition]
        for lane in [each for each in self._lanes if each[:2] == partition]:
            del self._lanes[lane]
            self._ready.pop(lane, None)

    def _queue(self, waiting: _Waiting) -> None:
        record = waiting.received.record
        lane = (record.topic, waiting.received.partition, record.key)
        queue = self._lanes.setdefault(lane, deque())
        queue.append(waiting)
        if len(queue) == 1 and lane not in self._out:
            self._ready[lane] = None

    def _back(self, ticket: Ticket) -> _Owned | None:
        """The ownership that the ticket belongs to; None: it was lost meanwhile."""
        self._out.discard(ticket.lane)
        owned = self._owned.get(ticket.lane[:2])
        return owned if owned is not None and owned.epoch == ticket.epoch else None

    def _release(self, lane: Lane) -> None:
        """The lane's record is back: what comes next on it?"""
        queue = self._lanes.get(lane)
        if not queue:
            self._lanes.pop(lane, None)
        elif queue[0].tries:
            self._sequence += 1
            heapq.heappush(self._due, (queue[0].due, self._sequence, lane, queue[0]))
        else:
            self._ready[lane] = None

    def _wake(self, now: float) -> None:
        while (due := self.next_due()) is not None and due <= now:
            _, _, lane, _ = heapq.heappop(self._due)
            self._ready[lane] = None

    def _is_head(self, lane: Lane, waiting: _Waiting) -> bool:
        queue = self._lanes.get(lane)
        return queue is not None and len(queue) > 0 and queue[0] is waiting and lane not in self._out
