"""The log itself: records in partitions, in the rows of the store's outbox, visible when their transaction is.

A partition's head row gives out offsets and is locked until the transaction ends, so offsets have no gaps and become
visible in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from zlib import crc32

from turnout.adapters.embedded_log.wake import Bell, bell_of
from turnout.adapters.limits import refuse_large
from turnout.adapters.store.database import Database
from turnout.adapters.store.link import Answer, Link, Statement, listed, scalar
from turnout.adapters.store.outbox import columns, decode_headers, decode_key, encode_key
from turnout.core.envelope import Received, Record
from turnout.core.errors import TransientError
from turnout.core.topics import TOPICS, Topic

Partition = tuple[str, int]

_TAKE_OFFSETS = Statement(
    "INSERT INTO log_heads (topic, partition_no, next_offset) VALUES (:topic, :partition, :count)"
    " ON CONFLICT (topic, partition_no) DO UPDATE SET next_offset = log_heads.next_offset + :count"
)
_APPEND = Statement(
    "INSERT INTO outbox"
    " (run, topic, partition_no, offset_no, record_key, headers, value, created_at, published_at)"
    " SELECT :run, topic, partition_no, next_offset - :back, :record_key, :headers, :value, :at, :at FROM log_heads"
    " WHERE topic = :topic AND partition_no = :partition RETURNING id"
)
"""``back``: how many of the offsets that were just taken come from this one on."""
_ENSURE = Statement(
    "INSERT INTO log_heads (topic, partition_no, next_offset) VALUES (:topic, :partition, 0) ON CONFLICT DO NOTHING"
)
_HEADS = Statement("SELECT topic, partition_no, next_offset FROM log_heads WHERE topic IN :topics")
_READ = Statement(
    "SELECT offset_no, record_key, headers, value, created_at FROM outbox"
    " WHERE topic = :topic AND partition_no = :partition AND offset_no >= :offset ORDER BY offset_no LIMIT :count"
)
_FIRST = Statement(
    "SELECT min(offset_no) FROM outbox WHERE topic = :topic AND partition_no = :partition AND offset_no >= 0"
)


class EmbeddedLog:
    """Appends within the transactions of others (`turnout.adapters.store.outbox.LogWriter`)."""

    def __init__(self, database: Database, topics: Sequence[Topic] = TOPICS) -> None:
        self.database = database
        self.topics = {each.name: each for each in topics}
        self.bell: Bell = bell_of(database)

    def append(self, link: Link, run: str, records: Sequence[Record], at: int) -> Sequence[Answer]:
        places = [self._place(each) for each in records]
        counts: dict[Partition, int] = defaultdict(int)
        for place in places:
            counts[place] += 1
        for topic, partition in sorted(counts):
            link.send(
                _TAKE_OFFSETS, {"topic": topic, "partition": partition, "count": counts[(topic, partition)]}
            )
        rows = []
        for place, record in zip(places, records, strict=True):
            rows.append(
                link.send(
                    _APPEND,
                    {**columns(record), "run": run, "partition": place[1], "back": counts[place], "at": at},
                )
            )
            counts[place] -= 1
        self.bell.ring_within(link, {each.topic for each in records})
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


def ensure(link: Link, partitions: Sequence[Partition]) -> None:
    link.send_many(_ENSURE, [{"topic": topic, "partition": number} for topic, number in partitions])


def heads(link: Link, topics: Sequence[str]) -> Mapping[Partition, int]:
    """The offset that the next record of each partition will have."""
    rows = link.send(_HEADS, {"topics": listed(link, topics)}).rows
    return {(topic, int(number)): int(offset) for topic, number, offset in rows}


def read(link: Link, partition: Partition, offset: int, count: int) -> list[Received]:
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
        for at, key, headers, value, created in link.send(_READ, asked).rows
    ]


def first(link: Link, partition: Partition, head: int) -> int:
    """The offset of the oldest record that is kept; ``head`` where none is."""
    found = scalar(link, _FIRST, topic=partition[0], partition=partition[1])
    return head if found is None else int(found)
