"""Reading from Kafka, as a member of a group or as a tail."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, TopicPartition, errors
from kafka.structs import OffsetAndMetadata

from turnout.adapters.kafka_client import translate
from turnout.adapters.kafka_waking import WakingConsumer
from turnout.core.envelope import Received, Record
from turnout.core.errors import PermanentError, Rebalanced, TransientError
from turnout.core.ports import Position

log = structlog.get_logger()

Partition = tuple[str, int]

SLICE = 0.25
"""Seconds after which a waiting poll looks whether there is something new to ask the brokers for."""
COMMIT_TIMEOUT = 5.0
LEAVE_TIMEOUT = 2.0


class KafkaReader:
    """Owns ``client``, and reads with it."""

    def __init__(self, client: WakingConsumer) -> None:
        self._client = client
        self._closed = False
        self._owned: frozenset[Partition] = frozenset()

    def poll(self, timeout: float, max_records: int = 100) -> Sequence[Received]:
        deadline = time.monotonic() + timeout
        batch, over = self._once(0.0, max_records)
        if not batch and not over and timeout > 0 and not self._client.woken:
            batch = self._wait(deadline, max_records)
        self._client.rest()
        return batch

    def pause(self, partitions: Collection[Partition]) -> None:
        self._client.pause(*self._present(partitions))

    def resume(self, partitions: Collection[Partition]) -> None:
        self._client.resume(*self._present(partitions))

    def assignment(self) -> frozenset[Partition]:
        return self._owned

    def wake(self) -> None:
        self._client.wake()

    def _wait(self, deadline: float, max_records: int) -> Sequence[Received]:
        self._client.arm()
        try:
            while True:
                left = deadline - time.monotonic()
                batch, over = self._once(min(max(left, 0.0), SLICE), max_records)
                if batch or over or left <= 0 or self._client.woken:
                    return batch
        finally:
            self._client.disarm()

    def _once(self, timeout: float, max_records: int) -> tuple[Sequence[Received], bool]:
        """What came within ``timeout``, and whether the caller must look at the assignment before it goes on."""
        return self._fetch(timeout, max_records), False

    def _fetch(self, timeout: float, max_records: int) -> Sequence[Received]:
        if self._closed:
            raise PermanentError("this consumer is closed", "ask the bus for another one")
        try:
            found = self._client.step(timeout, max_records)
        except errors.KafkaError as error:
            raise translate(error, "reading from Kafka") from error
        return [_received(each) for batch in found.values() for each in batch]

    def _present(self, partitions: Collection[Partition]) -> list[Any]:
        assigned = self._client.assignment()
        return [each for each in (TopicPartition(*pair) for pair in partitions) if each in assigned]


class KafkaTail(KafkaReader):
    """``client`` has been given its partitions and positions."""

    def __init__(self, client: WakingConsumer) -> None:
        super().__init__(client)
        self._owned = _pairs(client.assignment())

    def commit(self, positions: Sequence[Position]) -> None:
        """A tail commits nothing."""

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._client.close(autocommit=False)


class KafkaGroupConsumer(KafkaReader):
    """A member of a group.

    A partition that is lost is seen to be gone for the length of one `poll`, even when it has come back
    within the same: whoever keeps records of it learns that they will be read again. The same goes for a
    partition whose log has begun anew.
    """

    def __init__(
        self, client: WakingConsumer, topics: Sequence[str], leave: Callable[[str], None] | None
    ) -> None:
        """``leave`` takes a named member (by its member id) out of the group; None: the member has no name."""
        super().__init__(client)
        self._leave = leave
        self._fenced = False
        self._lost: set[Partition] = set()
        self._held: list[Received] = []
        self._following: dict[Partition, int] = {}
        client.subscribe(topics=list(topics), listener=_Losses(self._lost))

    def commit(self, positions: Sequence[Position]) -> None:
        if not positions:
            return
        for each in positions:
            if (each.topic, each.partition) not in self._owned:
                raise Rebalanced(f"partition {each.partition} of {each.topic} is not ours any more")
        offsets = {
            TopicPartition(each.topic, each.partition): OffsetAndMetadata(each.offset, "", -1)
            for each in positions
        }
        try:
            self._client.commit(offsets, timeout_ms=int(COMMIT_TIMEOUT * 1000))
        except errors.FencedInstanceIdError as error:
            self._fenced = True
            raise Rebalanced("another process has taken this member's place") from error
        except errors.KafkaError as error:
            raise translate(error, "committing positions to Kafka") from error

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._owned = frozenset()
        member = self._client.group_metadata().member_id
        try:
            self._client.close(autocommit=False, timeout_ms=int(LEAVE_TIMEOUT * 1000))
        except errors.KafkaError as error:
            log.warning("not left the group, its session will run out", reason=str(error))
        if self._leave is not None and member and not self._fenced:
            self._leave(member)

    def _once(self, timeout: float, max_records: int) -> tuple[Sequence[Received], bool]:
        if self._held:
            batch, self._held = self._held[:max_records], self._held[max_records:]
            self._owned = _pairs(self._client.assignment())
            return batch, False
        fetched = self._fetch(timeout, max_records)
        for each in fetched:
            partition = (each.record.topic, each.partition)
            if each.offset < self._following.get(partition, 0):
                self._lost.add(partition)
            self._following[partition] = each.offset + 1
        owned = _pairs(self._client.assignment())
        if not self._lost:
            self._owned = owned
            return fetched, False
        self._owned = owned - self._lost
        self._following = {k: v for k, v in self._following.items() if k not in self._lost}
        self._lost.clear()
        self._held = list(fetched)
        return [], True

    def _fetch(self, timeout: float, max_records: int) -> Sequence[Received]:
        if self._fenced:
            raise PermanentError(
                "another process runs as the same member of the group",
                "give each process a member name of its own",
            )
        try:
            return super()._fetch(timeout, max_records)
        except Rebalanced as error:  # fenced, or thrown out in the middle of a poll: the next one joins again
            if isinstance(error.__cause__, errors.FencedInstanceIdError):
                self._fenced = True
                return self._fetch(timeout, max_records)
            raise TransientError(error.message) from error


class _Losses(ConsumerRebalanceListener):  # type: ignore[misc] # kafka-python is not typed
    """Called on kafka-python's I/O thread, while the caller of `poll` waits."""

    def __init__(self, lost: set[Partition]) -> None:
        self._lost = lost

    def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        self._lost.update(_pairs(revoked))

    def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """The assignment is read after the poll."""


def _pairs(partitions: Collection[Any]) -> frozenset[Partition]:
    return frozenset((each.topic, each.partition) for each in partitions)


def _received(record: Any) -> Received:
    return Received(
        Record(
            record.topic,
            record.key.decode(errors="surrogateescape") if record.key else "",
            record.value or b"",
            tuple((name, value or b"") for name, value in record.headers),
        ),
        record.partition,
        record.offset,
        record.timestamp / 1000,
    )
