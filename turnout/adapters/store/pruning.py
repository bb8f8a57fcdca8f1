"""Forgetting: inbox ids, launches, and records that were sent or read. Small batches, so that no writer waits for long.

A record of the embedded log stays for its topic's retention, and then until every group has read it, but never longer
than `PATIENCE` times that; a record that was sent to Kafka stays for the retention.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Delete, TextClause, bindparam, delete, text

from turnout.adapters.store.database import Database
from turnout.adapters.store.instants import SECOND, micros
from turnout.adapters.store.tables import inbox, launches, outbox
from turnout.core.topics import DAY, TOPICS

INBOX_KEPT = timedelta(days=14)
LAUNCHES_KEPT = timedelta(days=46)  # longer than the longest task, and then than its record can come again
PATIENCE = 4
BATCH = 500
_RETENTION = {each.name: each.retention * SECOND for each in TOPICS}
_DEFAULT = 7 * DAY * SECOND

_OLD_MESSAGES = text("SELECT message FROM inbox WHERE at < :before ORDER BY at LIMIT :batch")
_FORGET_MESSAGES = delete(inbox).where(inbox.c.message.in_(bindparam("gone", expanding=True)))
_OLD_LAUNCHES = text("SELECT attempt FROM launches WHERE at < :before ORDER BY at LIMIT :batch")
_FORGET_LAUNCHES = delete(launches).where(launches.c.attempt.in_(bindparam("gone", expanding=True)))
_SENT = text(
    "SELECT id, topic, published_at FROM outbox WHERE partition_no IS NULL AND published_at IS NOT NULL"
    " AND published_at < :before AND (published_at, id) > (:after, :after_id) ORDER BY published_at, id LIMIT :batch"
)
_FORGET_RECORDS = delete(outbox).where(outbox.c.id.in_(bindparam("gone", expanding=True)))
_HEADS = text("SELECT topic, partition_no FROM log_heads")
_READ = text("SELECT topic, partition_no, min(committed) FROM log_positions GROUP BY topic, partition_no")
_OLDEST = text(
    "SELECT id, offset_no, created_at FROM outbox WHERE topic = :topic AND partition_no = :partition"
    " ORDER BY offset_no LIMIT :batch"
)


def prune(database: Database, now: datetime) -> int:
    """The number of rows removed. Each batch is a transaction of its own."""
    at = micros(now)
    return (
        _prune_old(database, _OLD_MESSAGES, _FORGET_MESSAGES, micros(now - INBOX_KEPT))
        + _prune_old(database, _OLD_LAUNCHES, _FORGET_LAUNCHES, micros(now - LAUNCHES_KEPT))
        + _prune_sent(database, at)
        + _prune_log(database, at)
    )


def _prune_old(database: Database, oldest: TextClause, forget: Delete, before: int) -> int:
    removed = 0
    while True:
        with database.read() as connection:
            old = [row[0] for row in connection.execute(oldest, {"before": before, "batch": BATCH})]
        if old:
            with database.write() as connection:
                removed += connection.execute(forget, {"gone": old}).rowcount
        if len(old) < BATCH:
            return removed


def _prune_sent(database: Database, now: int) -> int:
    """Topics differ in their retention: those kept longer are passed over on the way."""
    removed = 0
    asked = {"before": now - min(_RETENTION.values()), "after": 0, "after_id": 0, "batch": BATCH}
    while True:
        with database.read() as connection:
            rows = list(connection.execute(_SENT, asked))
        gone = [id for id, topic, published in rows if published < now - _RETENTION.get(topic, _DEFAULT)]
        removed += _forget(database, gone)
        if len(rows) < BATCH:
            return removed
        asked |= {"after": int(rows[-1].published_at), "after_id": int(rows[-1].id)}


def _prune_log(database: Database, now: int) -> int:
    with database.read() as connection:
        read = {(topic, number): int(offset) for topic, number, offset in connection.execute(_READ)}
        partitions = [(str(topic), int(number)) for topic, number in connection.execute(_HEADS)]
    removed = 0
    for topic, number in partitions:
        for gone in _passed(database, topic, number, read.get((topic, number)), now):
            removed += _forget(database, gone)
    return removed


def _passed(database: Database, topic: str, number: int, read: int | None, now: int) -> Iterator[list[int]]:
    """Batches of rows to remove, from the oldest on. ``read``: all below is read by every group; None: no group is."""
    retention = _RETENTION.get(topic, _DEFAULT)
    while True:
        with database.read() as connection:
            rows = list(connection.execute(_OLDEST, {"topic": topic, "partition": number, "batch": BATCH}))
        gone = []
        for id, offset, created in rows:
            done = read is None or offset < read
            if created >= now - (retention if done else retention * PATIENCE):
                break  # all that come after it are younger
            gone.append(id)
        if gone:
            yield gone
        if len(gone) < BATCH:
            return


def _forget(database: Database, gone: list[int]) -> int:
    if not gone:
        return 0
    with database.write() as connection:
        return connection.execute(_FORGET_RECORDS, {"gone": gone}).rowcount
