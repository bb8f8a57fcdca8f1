"""Readers of the log: a member of a group, and a tail."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from turnout.adapters.embedded_log import groups, log
from turnout.adapters.embedded_log.heartbeats import Heartbeats
from turnout.adapters.embedded_log.log import EmbeddedLog, Partition
from turnout.adapters.embedded_log.process import this_process
from turnout.adapters.embedded_log.wake import Listener, group_name
from turnout.adapters.store.instants import SECOND
from turnout.core.envelope import Received
from turnout.core.errors import PermanentError, Rebalanced, TransientError
from turnout.core.ports import Position

LOOK_ANYWAY = 2.0
"""Seconds after which a waiting reader looks even though nobody woke it: a wake-up can be lost, a record can't."""


class _Reader:
    """What a member of a group and a tail have in common. ``positions`` are the next offsets to be read."""

    def __init__(self, embedded: EmbeddedLog, listen: Collection[str]) -> None:
        self._log = embedded
        self._database = embedded.database
        self._listener: Listener = embedded.bell.listen(listen)
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._heads: Mapping[Partition, int] = {}
        self._look_at = 0.0
        self._closed = False
        self._turn = 0

    def poll(self, timeout: float, max_records: int = 100) -> Sequence[Received]:
        deadline = time.monotonic() + timeout
        while True:
            if self._closed:
                raise PermanentError("this consumer is closed", "ask the bus for another one")
            # What was committed before was rung before, so there is nothing to look for where nothing was rung.
            now = time.monotonic()
            if self._listener.clear() or timeout <= 0 or now >= self._look_at:
                self._look_at = 0.0
                heads = self._sync()
                if heads is None:
                    return []
                self._heads = heads
                self._look_at = now + LOOK_ANYWAY
            batch = self._collect(self._heads, max_records)
            left = deadline - time.monotonic()
            if batch or left <= 0 or self._listener.wait(min(left, LOOK_ANYWAY)):
                return batch

    def pause(self, partitions: Collection[Partition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        self._paused.difference_update(partitions)

    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._positions)

    def wake(self) -> None:
        self._listener.wake()

    def _sync(self) -> Mapping[Partition, int] | None:
        """The heads of what is ours; None when some of it has been lost, which the caller is to see first."""
        raise NotImplementedError

    def _collect(self, heads: Mapping[Partition, int], count: int) -> list[Received]:
        behind = [
            each
            for each, offset in sorted(self._positions.items())
            if offset < heads.get(each, 0) and each not in self._paused
        ]
        batch: list[Received] = []
        if not behind or count <= 0:
            return batch
        self._turn += 1  # each poll begins with another partition, so that a busy one starves none
        first = self._turn % len(behind)
        with self._database.look() as link:
            for partition in [*behind[first:], *behind[:first]]:
                found = log.read(link, partition, self._positions[partition], count - len(batch))
                # nothing: it has been pruned
                self._positions[partition] = found[-1].offset + 1 if found else heads[partition]
                batch.extend(found)
                if len(batch) >= count:
                    break
        return batch


class EmbeddedTail(_Reader):
    """Its positions are fixed when it is made."""

    def __init__(self, embedded: EmbeddedLog, topics: Sequence[str], *, from_start: bool) -> None:
        self._topics = tuple(topics)
        partitions = [each for topic in topics for each in embedded.partitions(topic)]
        super().__init__(embedded, topics)
        with self._database.look() as link:
            ends = {} if from_start else log.heads(link, topics)
        self._positions = {each: ends.get(each, 0) for each in partitions}

    def commit(self, positions: Sequence[Position]) -> None:
        """A tail commits nothing."""

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._listener.close()

    def _sync(self) -> Mapping[Partition, int]:
        with self._database.look() as link:
            return log.heads(link, self._topics)


class EmbeddedConsumer(_Reader):
    """A member of a group; it joins at its first poll, and again where it was given up for dead and was not."""

    def __init__(
        self,
        embedded: EmbeddedLog,
        heartbeats: Heartbeats,
        group: str,
        topics: Sequence[str],
        member: str,
        session: Callable[[], str],
    ) -> None:
        self._partitions = {topic: embedded.partitions(topic) for topic in topics}
        self._topics = tuple(self._partitions)
        super().__init__(embedded, [*topics, group_name(group)])
        self._heartbeats = heartbeats
        self.group = group
        self.member = member
        self._new_session = session
        self.session = ""
        self._epochs: dict[Partition, int] = {}
        self._generation = 0

    def commit(self, positions: Sequence[Position]) -> None:
        wanted: dict[Partition, tuple[int, int]] = {}
        for each in positions:
            partition = (each.topic, each.partition)
            if partition not in self._epochs:
                raise Rebalanced(f"partition {each.partition} of {each.topic} is not ours")
            wanted[partition] = (self._epochs[partition], each.offset)
        if not wanted:
            return
        with self._database.change() as link:
            if not groups.commit(link, self.group, self.session, wanted):
                raise Rebalanced(f"group {self.group}: a partition has been given to another member")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._heartbeats.remove(self)
        self._positions.clear()
        self._epochs.clear()
        try:
            if self.session:
                self._leave()
        except TransientError:
            pass  # the database is away: the others give this member up when its session runs out
        finally:
            self._listener.close()

    def _leave(self) -> None:
        with self._database.change() as link:
            left = groups.leave(link, self.group, self.session)
            if left:
                self._log.bell.ring_within(link, {group_name(self.group)})
        if left:
            self._log.bell.ring({group_name(self.group)})

    def vanish(self) -> None:
        """Leave everything as SIGKILL would: nobody is told. For tests."""
        self._closed = True
        self._heartbeats.remove(self)
        self._listener.close()

    def _sync(self) -> Mapping[Partition, int] | None:
        if not self.session:
            self._join()
        with self._database.look() as link:
            generation, heads = groups.heads(link, self.group, self._topics)
            if generation == self._generation:
                return heads  # nobody has come or gone, so what is ours is the same
            owned = groups.owned(link, self.group, self.session)
            if not owned:
                self._check_membership(groups.session_of(link, self.group, self.member))
        self._generation = generation
        self._heartbeats.members_changed()
        lost = [
            each for each, epoch in self._epochs.items() if each not in owned or owned[each].epoch != epoch
        ]
        for partition in lost:
            del self._positions[partition], self._epochs[partition]
            self._paused.discard(partition)
        if lost:
            self._generation = 0  # what came instead is taken with the next poll
            return None  # seen by the caller before any of it comes back
        for partition, mine in owned.items():
            if partition not in self._epochs:
                self._epochs[partition] = mine.epoch
                self._positions[partition] = mine.committed
        return heads

    def _check_membership(self, session: str) -> None:
        if session == self.session:
            return
        if session:
            self._heartbeats.remove(self)
            raise PermanentError(
                f"another process runs as member {self.member} of group {self.group}",
                "give each process a member name of its own",
            )
        self.session = ""  # given up for dead: join again with the next poll

    def _join(self) -> None:
        self.session = self._new_session()
        everything = [each for those in self._partitions.values() for each in those]
        self._generation = 0
        with self._database.change() as link:
            log.ensure(link, everything)
            groups.join(
                link,
                self.group,
                self.member,
                self.session,
                this_process(),
                self._partitions,
                int(self._heartbeats.timeout * SECOND),
            )
            self._log.bell.ring_within(link, {group_name(self.group)})
        self._log.bell.ring({group_name(self.group)})
        self._heartbeats.add(self)
