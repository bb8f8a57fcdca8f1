"""The webhook's ledger: one row a delivery, for ever. All functions take a connection."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, literal_column, select, text, update

from turnout.adapters.store import outbox
from turnout.adapters.store.instants import instant, micros
from turnout.adapters.store.ledger import may_follow
from turnout.adapters.store.projection import storable
from turnout.adapters.store.tables import deliveries
from turnout.core.ports import Delivery, OutboxRow

_LISTED = (
    deliveries.c.id,
    deliveries.c.source,
    deliveries.c.event,
    deliveries.c.repository,
    deliveries.c.status,
    deliveries.c.received_at,
    deliveries.c.run,
    deliveries.c.reason,
    deliveries.c.message,
)
_INSERT = text(
    "INSERT INTO deliveries (id, source, event, repository, status, received_at, run, reason, message, trigger_row)"
    " VALUES (:id, :source, :event, :repository, :status, :received_at, :run, :reason, :message, :trigger_row)"
    " ON CONFLICT (source, id) DO NOTHING"
)
_ONE = select(*_LISTED).where(
    deliveries.c.source == bindparam("source"), deliveries.c.id == bindparam("delivery")
)
_UNANSWERED = (
    select(deliveries.c.trigger_row)
    .where(
        deliveries.c.status == literal_column("'published'"),  # no parameter: it must match the partial index
        deliveries.c.received_at < bindparam("before"),
        deliveries.c.trigger_row.is_not(None),
    )
    .order_by(deliveries.c.received_at)
)


def receive(connection: Connection, delivery: Delivery) -> Delivery:
    if _insert(connection, delivery, None):
        return delivery
    row = connection.execute(_ONE, {"source": delivery.source, "delivery": delivery.id}).one()
    return _row(row)


def save(connection: Connection, delivery: Delivery, trigger_row: int | None = None) -> None:
    """Insert, or write what became of it over what is there (`turnout.adapters.store.ledger`)."""
    if _insert(connection, delivery, trigger_row):
        return
    changes: dict[str, Any] = {
        "status": delivery.status,
        "run": delivery.run,
        "reason": storable(delivery.reason),
    }
    if delivery.message:
        changes["message"] = delivery.message
    if trigger_row is not None:
        changes["trigger_row"] = trigger_row
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.source == delivery.source,
            deliveries.c.id == delivery.id,
            deliveries.c.status.in_(may_follow(delivery.status)),
        )
        .values(changes)
    )


def newest(connection: Connection, limit: int, repository: str) -> list[Delivery]:
    statement = select(*_LISTED).order_by(deliveries.c.seq.desc()).limit(limit)
    if repository:
        statement = statement.where(deliveries.c.repository == repository)
    return _rows(connection.execute(statement))


def unanswered(connection: Connection, before: datetime, limit: int) -> list[OutboxRow]:
    """What was published for deliveries that came before then, of which the orchestrator has said nothing yet."""
    rows = connection.execute(_UNANSWERED.limit(limit), {"before": micros(before)})
    return outbox.find(connection, [int(row[0]) for row in rows])


def _insert(connection: Connection, delivery: Delivery, trigger_row: int | None) -> bool:
    may_follow(delivery.status)
    done = connection.execute(
        _INSERT,
        {
            "id": delivery.id,
            "source": delivery.source,
            "event": delivery.event,
            "repository": storable(delivery.repository),
            "status": delivery.status,
            "received_at": micros(delivery.received_at),
            "run": delivery.run,
            "reason": storable(delivery.reason),
            "message": delivery.message,
            "trigger_row": trigger_row,
        },
    )
    return done.rowcount == 1


def _rows(rows: Iterable[Row[Any]]) -> list[Delivery]:
    return [_row(row) for row in rows]


def _row(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        source=row.source,
        event=row.event,
        repository=row.repository,
        status=row.status,
        received_at=instant(row.received_at),
        run=row.run,
        reason=row.reason,
        message=row.message,
    )
