"""The log itself: records in partitions, in the rows of the store's outbox, visible when their transaction is.

A partition's head row gives out offsets and is locked until the transaction ends, so offsets have no gaps and become
visible in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from zlib import crc32

from sqlalchemy import Connection, bindparam, select, text

from turnout.adapters.embedded_log.wake import Bell, bell_of
from turnout.adapters.limits import refuse_large
from turnout.adapters.store.database import Database, scalar
from turnout.adapters.store.outbox import INSERT, decode_headers, decode_key, encode_headers, encode_key
from turnout.adapters.store.tables import log_heads, outbox
from turnout.core.envelope import Received, Record
from turnout.core.errors import TransientError
from turnout.core.topics import TOPICS, Topic

Partition = tuple[str, int]

_TAKE_OFFSETS = text(
    "INSERT INTO log_heads (topic, partition_no, next_offset) VALUES (:topic, :partition, :count)"
    " ON CONFLICT (topic, partition_no) DO UPDATE SET next_offset = log_heads.next_offset + :count"
    " RETURNING next_offset"
)
_ENSURE = text(
    "INSERT INTO log_heads (topic, partition_no, next_offset) VALUES (:topic, :partition, 0) ON CONFLICT DO NOTHING"
)
_HEADS = select(log_heads.c.topic, log_heads.c.partition_no, log_heads.c.next_offset).where(
    log_heads.c.topic.in_(bindparam("topics", expanding=True))
)
_READ = (
    select(outbox.c.offset_no, outbox.c.record_key, outbox.c.headers, outbox.c.value, outbox.c.created_at)
    .where(
        outbox.c.topic == bindparam("topic"),
        outbox.c.partition_no == bindparam("partition"),
        outbox.c.offset_no >= bindparam("offset"),
    )
    .order_by(outbox.c.offset_no)
    .limit(bindparam("count"))
)
_FIRST = text(
    "SELECT min(offset_no) FROM outbox WHERE topic = :topic AND partition_no = :partition AND offset_no >= 0"
)


class EmbeddedLog:
    """Appends within the transactions of others (`turnout.adapters.store.outbox.LogWriter`)."""

    def __init__(self, database: Database, topics: Sequence[Topic] = TOPICS) -> None:
        self.database = database
        self.topics = {each.name: each for each in topics}
        self.bell: Bell = bell_of(database)

    def append(self, connection: Connection, run: str, records: Sequence[Record], at: int) -> Sequence[int]:
        places = [self._place(each) for each in records]
        counts: dict[Partition, int] = defaultdict(int)
        for place in places:
            counts[place] += 1
        following = {place: self._take(connection, place, counts[place]) for place in sorted(counts)}
        rows = []
        for place, record in zip(places, records, strict=True):
            result = connection.execute(
                INSERT,
                {
                    "run": run,
                    "topic": record.topic,
                    "partition_no": place[1],
                    "offset_no": following[place],
                    "record_key": encode_key(record.key),
                    "headers": encode_headers(record.headers),
                    "value": record.value,
                    "created_at": at,
                    "published_at": at,
                },
            )
            following[place] += 1
            assert result.inserted_primary_key is not None, "an insert of one row has a key"
            rows.append(int(result.inserted_primary_key[0]))
        self.bell.ring_within(connection, {each.topic for each in records})
        return rows

    def announce(self, records: Sequence[Record]) -> None:
        self.bell.ring({each.topic for each in records})

    def partitions(self, topic: str) -> list[Partition]:
        """Raises: TransientError for a topic that there is not."""
        return [(topic, number) for number in range(self.known(topic).partitions)]

    def known(self, topic: str) -> Topic:
        found = self.topics.get(topic)
        if found is None:
            raise TransientError(f"there is no topic {topic}", "look at the names in turnout.core.topics")
        return found

    def _place(self, record: Record) -> Partition:
        refuse_large(record)
        return record.topic, crc32(encode_key(record.key)) % self.known(record.topic).partitions

    def _take(self, connection: Connection, place: Partition, count: int) -> int:
        """The first of ``count`` offsets."""
        after = scalar(connection, _TAKE_OFFSETS, topic=place[0], partition=place[1], count=count)
        return int(after) - count


def ensure(connection: Connection, partitions: Sequence[Partition]) -> None:
    connection.execute(_ENSURE, [{"topic": topic, "partition": number} for topic, number in partitions])


def heads(connection: Connection, topics: Sequence[str]) -> Mapping[Partition, int]:
    """The offset that the next record of each partition will have."""
    rows = connection.execute(_HEADS, {"topics": list(topics)})
    return {(topic, int(number)): int(offset) for topic, number, offset in rows}


def read(connection: Connection, partition: Partition, offset: int, count: int) -> list[Received]:
    """The records from ``offset`` on that are still kept."""
    topic, number = partition
    asked = {"topic": topic, "partition": number, "offset": offset, "count": count}
    return [
        Received(
            Record(topic, decode_key(key), bytes(value), decode_headers(headers)),
            number,
            int(at),
            created / 1e6,
        )
        for at, key, headers, value, created in connection.execute(_READ, asked)
    ]


def first(connection: Connection, partition: Partition, head: int) -> int:
    """The offset of the oldest record that is kept; ``head`` where none is."""
    found = scalar(connection, _FIRST, topic=partition[0], partition=partition[1])
    return head if found is None else int(found)
