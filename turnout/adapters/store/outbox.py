"""The outbox: records written with the change that caused them, sent after it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Row, select

from turnout.adapters.store.link import Answer, Link, Statement, listed
from turnout.adapters.store.tables import outbox
from turnout.core.envelope import Record
from turnout.core.ports import OutboxRow


class LogWriter(Protocol):
    """A log that the records of a change go into at once, within its transaction."""

    def append(self, link: Link, run: str, records: Sequence[Record], at: int) -> Sequence[Answer]:
        """Answers with the outbox id of each new row. ``at`` in microseconds. Raises: PermanentError (too large)."""
        ...

    def announce(self, records: Sequence[Record]) -> None:
        """Wake whoever waits for these records; called when they are durable. Never raises."""
        ...


_KEEP = Statement(
    "INSERT INTO outbox (run, topic, record_key, headers, value, created_at)"
    " VALUES (:run, :topic, :record_key, :headers, :value, :created_at) RETURNING id"
)
_SENT = Statement("UPDATE outbox SET published_at = :at WHERE published_at IS NULL AND id IN :rows")
_PENDING = select(
    outbox.c.id, outbox.c.run, outbox.c.topic, outbox.c.record_key, outbox.c.headers, outbox.c.value
).where(outbox.c.published_at.is_(None))
_ROW = select(
    outbox.c.id, outbox.c.run, outbox.c.topic, outbox.c.record_key, outbox.c.headers, outbox.c.value
)


def keep(link: Link, run: str, records: Sequence[Record], at: int) -> list[Answer]:
    """Write the records down as still to be published; answers with the id of each row."""
    return [link.send(_KEEP, {**columns(record), "run": run, "created_at": at}) for record in records]


def columns(record: Record) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "record_key": encode_key(record.key),
        "headers": encode_headers(record.headers),
        "value": record.value,
    }


def unpublished(connection: Connection, run: str, limit: int, older_than: int | None) -> list[OutboxRow]:
    statement = _PENDING.order_by(outbox.c.id).limit(limit)
    if run:
        statement = statement.where(outbox.c.run == run)
    if older_than is not None:
        statement = statement.where(outbox.c.created_at < older_than)
    return [_row(each) for each in connection.execute(statement)]


def mark_published(link: Link, rows: Sequence[int], at: int) -> None:
    for first in range(0, len(rows), 500):
        link.send(_SENT, {"rows": listed(link, rows[first : first + 500]), "at": at})


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
