"""The outbox: records written with the change that caused them, sent after it. All functions run in a transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Row, insert, select, update

from turnout.adapters.store.tables import outbox
from turnout.core.envelope import Record
from turnout.core.ports import OutboxRow


class LogWriter(Protocol):
    """A log that the records of a change go into at once, within its transaction."""

    def append(self, connection: Connection, run: str, records: Sequence[Record], at: int) -> Sequence[int]:
        """The outbox ids of the new rows. ``at`` in microseconds. Raises: PermanentError (too large)."""
        ...

    def announce(self, records: Sequence[Record]) -> None:
        """Wake whoever waits for these records; called when they are durable. Never raises."""
        ...


INSERT = insert(outbox)
_PENDING = select(
    outbox.c.id, outbox.c.run, outbox.c.topic, outbox.c.record_key, outbox.c.headers, outbox.c.value
).where(outbox.c.published_at.is_(None))
_SENT = update(outbox).where(outbox.c.published_at.is_(None))
_ROW = select(
    outbox.c.id, outbox.c.run, outbox.c.topic, outbox.c.record_key, outbox.c.headers, outbox.c.value
)


def keep(connection: Connection, run: str, records: Sequence[Record], at: int) -> list[OutboxRow]:
    """Write the records down as still to be published."""
    kept = []
    for record in records:
        result = connection.execute(
            INSERT,
            {
                "run": run,
                "topic": record.topic,
                "record_key": encode_key(record.key),
                "headers": encode_headers(record.headers),
                "value": record.value,
                "created_at": at,
            },
        )
        assert result.inserted_primary_key is not None, "an insert of one row has a key"
        kept.append(OutboxRow(int(result.inserted_primary_key[0]), run, record))
    return kept


def unpublished(connection: Connection, run: str, limit: int, older_than: int | None) -> list[OutboxRow]:
    statement = _PENDING.order_by(outbox.c.id).limit(limit)
    if run:
        statement = statement.where(outbox.c.run == run)
    if older_than is not None:
        statement = statement.where(outbox.c.created_at < older_than)
    return [_row(each) for each in connection.execute(statement)]


def mark_published(connection: Connection, rows: Sequence[int], at: int) -> None:
    for first in range(0, len(rows), 500):
        some = rows[first : first + 500]
        connection.execute(_SENT.where(outbox.c.id.in_(some)), {"published_at": at})


def find(connection: Connection, rows: Sequence[int]) -> list[OutboxRow]:
    if not rows:
        return []
    found = connection.execute(_ROW.where(outbox.c.id.in_(rows)).order_by(outbox.c.id))
    return [_row(each) for each in found]


def _row(row: Row[Any]) -> OutboxRow:
    id, run, topic, key, headers, value = row
    return OutboxRow(int(id), run, Record(topic, decode_key(key), bytes(value), decode_headers(headers)))


def encode_key(key: str) -> bytes:
    """Any key that Kafka can carry, also one that is not text."""
    return key.encode(errors="surrogateescape")


def decode_key(key: bytes) -> str:
    return bytes(key).decode(errors="surrogateescape")


def encode_headers(headers: Sequence[tuple[str, bytes]]) -> str:
    """JSON pairs; each byte of a value is the character of that code point."""
    return json.dumps([[name, value.decode("latin-1")] for name, value in headers], separators=(",", ":"))


def decode_headers(headers: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode("latin-1")) for name, value in json.loads(headers))
