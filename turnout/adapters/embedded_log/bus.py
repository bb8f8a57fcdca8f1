"""The bus over the store's database: no broker, the same contract."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from uuid import uuid4

from turnout.adapters.embedded_log import groups, log
from turnout.adapters.embedded_log.heartbeats import Heartbeats
from turnout.adapters.embedded_log.log import EmbeddedLog, Partition
from turnout.adapters.embedded_log.readers import EmbeddedConsumer, EmbeddedTail
from turnout.adapters.store.database import Database
from turnout.adapters.store.instants import SECOND
from turnout.core.envelope import Record
from turnout.core.errors import PermanentError
from turnout.core.topics import TOPICS, Topic

SESSION_TIMEOUT = 10.0


class EmbeddedBus:
    """``session_timeout``: seconds of silence after which a member of a group is given up; one whose process has ended
    on this machine is given up at once. ``clock`` gives seconds since the epoch, for the records' time stamps.

    Nothing is opened before it is used: after a fork, each process has connections and heartbeats of its own.
    """

    def __init__(
        self,
        database: Database,
        *,
        session_timeout: float = SESSION_TIMEOUT,
        topics: Sequence[Topic] = TOPICS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._log = EmbeddedLog(database, topics)
        self._timeout = session_timeout
        self._clock = clock
        self._heartbeats: tuple[int, Heartbeats] | None = None

    def producer(self) -> EmbeddedProducer:
        return EmbeddedProducer(self._log, self._clock)

    def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> EmbeddedConsumer:
        return EmbeddedConsumer(
            self._log,
            self._beats(),
            group,
            topics,
            member or f"unnamed {uuid4()}",
            lambda: str(uuid4()),  # a fence, not an id: no two lives of a member may share it
        )

    def tail(self, topics: Sequence[str], *, from_start: bool = False) -> EmbeddedTail:
        return EmbeddedTail(self._log, topics, from_start=from_start)

    def lag(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        partitions = [each for topic in topics for each in self._log.partitions(topic)]
        found = {}
        with self._database.look() as link:
            committed = groups.committed(link, group)
            heads = log.heads(link, topics)
            for each in partitions:
                head, at = heads.get(each, 0), committed.get(each, 0)
                if at < head:
                    at = max(at, log.first(link, each, head))  # what has been pruned is no lag
                found[each] = max(head - at, 0)
        return found

    def ensure_topics(self) -> None:
        everything = [each for topic in self._log.topics for each in self._log.partitions(topic)]
        with self._database.look() as link:
            known = log.heads(link, list(self._log.topics))
        missing = [each for each in everything if each not in known]
        if missing:
            with self._database.change() as link:
                log.ensure(link, missing)

    def _beats(self) -> Heartbeats:
        if self._heartbeats is None or self._heartbeats[0] != os.getpid():
            self._heartbeats = (os.getpid(), Heartbeats(self._database, self._log.bell, self._timeout))
        return self._heartbeats[1]


class EmbeddedProducer:
    def __init__(self, embedded: EmbeddedLog, clock: Callable[[], float]) -> None:
        self._log = embedded
        self._clock = clock
        self._closed = False

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:
        """All of them in one transaction."""
        if self._closed:
            raise PermanentError("this producer is closed", "ask the bus for another one")
        if not records:
            return
        with self._log.database.change(timeout) as link:
            self._log.append(link, "", records, int(self._clock() * SECOND))
        self._log.announce(records)

    def close(self) -> None:
        self._closed = True
