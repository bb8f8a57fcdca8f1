"""The webhook's ledger: one row a delivery, for ever."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, literal_column, select

from turnout.adapters.store import outbox
from turnout.adapters.store.instants import instant, micros
from turnout.adapters.store.ledger import may_follow
from turnout.adapters.store.link import Link, Statement, listed
from turnout.adapters.store.projection import storable
from turnout.adapters.store.tables import deliveries
from turnout.core import nothing
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
    deliveries.c.sha,
    deliveries.c.why,
)
_NEVER = 2**62
_INSERT = Statement(
    "INSERT INTO deliveries (id, source, event, repository, status, received_at, run, reason, message, trigger_row,"
    " sha, why)"
    " VALUES (:id, :source, :event, :repository, :status, :received_at, :run, :reason, :message, :trigger_row,"
    " :sha, :why)"
    " ON CONFLICT (source, id) DO NOTHING"
)
_ONE = Statement(
    "SELECT id, source, event, repository, status, received_at, run, reason, message, sha, why FROM deliveries"
    " WHERE source = :source AND id = :delivery"
)
_CHANGE = Statement(
    "UPDATE deliveries SET status = :status, run = :run, reason = :reason,"
    " message = CASE WHEN :message = '' THEN message ELSE :message END,"
    " sha = CASE WHEN :sha = '' THEN sha ELSE :sha END, why = :why,"
    " trigger_row = coalesce(:trigger_row, trigger_row)"
    " WHERE source = :source AND id = :id AND status IN :before"
)
_NAMED = deliveries.c.sha != literal_column("''")
_UNANSWERED = (
    select(deliveries.c.trigger_row)
    .where(
        deliveries.c.status == literal_column("'published'"),  # no parameter: it must match the partial index
        deliveries.c.received_at < bindparam("before"),
        deliveries.c.trigger_row.is_not(None),
    )
    .order_by(deliveries.c.received_at)
)


def receive(link: Link, delivery: Delivery) -> Delivery:
    if link.send(_INSERT, _values(delivery, None)).count == 1:
        return delivery
    found = link.send(_ONE, {"source": delivery.source, "delivery": delivery.id}).rows[0]
    id, source, event, repository, status, received_at, run, reason, message, sha, why = found
    return Delivery(
        id,
        source,
        event,
        repository,
        status,
        instant(received_at),
        run,
        reason,
        message,
        sha,
        nothing.load(why),
    )


def save(link: Link, delivery: Delivery, trigger_row: int | None = None) -> None:
    """Insert, or write what became of it over what is there (`turnout.adapters.store.ledger`)."""
    values = _values(delivery, trigger_row)
    if link.send(_INSERT, values).count == 1:
        return
    link.send(_CHANGE, {**values, "before": listed(link, may_follow(delivery.status))})


def newest(
    connection: Connection, limit: int, repository: str, before: tuple[str, str] = ("", "")
) -> list[Delivery]:
    """``before``: source and id of the one to go on after."""
    statement = select(*_LISTED).order_by(deliveries.c.seq.desc()).limit(limit)
    if before != ("", ""):
        source, id = before
        last = select(deliveries.c.seq).where(
            deliveries.c.source == storable(source), deliveries.c.id == storable(id)
        )
        statement = statement.where(deliveries.c.seq < func.coalesce(last.scalar_subquery(), _NEVER))
    if repository:
        statement = statement.where(deliveries.c.repository == repository)
    return _rows(connection.execute(statement))


def find(connection: Connection, id: str) -> Delivery | None:
    named = select(*_LISTED).where(deliveries.c.source == "github", deliveries.c.id == id)
    found = _rows(connection.execute(named))
    return found[0] if found else None


def of_commit(connection: Connection, beginning: str, limit: int) -> list[Delivery]:
    statement = (
        select(*_LISTED)
        .where(
            deliveries.c.sha >= beginning,
            deliveries.c.sha < f"{beginning}g",
            deliveries.c.sha != literal_column("''"),
        )
        .order_by(deliveries.c.seq.desc())
        .limit(limit)
    )
    return _rows(connection.execute(statement))


def unanswered(connection: Connection, before: datetime, limit: int) -> list[OutboxRow]:
    """What was published for deliveries that came before then, of which the orchestrator has said nothing yet."""
    rows = connection.execute(_UNANSWERED.limit(limit), {"before": micros(before)})
    return outbox.find(connection, [int(row[0]) for row in rows])


def _values(delivery: Delivery, trigger_row: int | None) -> dict[str, Any]:
    """Raises: PermanentError for a status that there is not."""
    may_follow(delivery.status)
    return {
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
        "sha": delivery.sha,
        "why": storable(nothing.dump(delivery.why)),
    }


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
        sha=row.sha,
        why=nothing.load(row.why),
    )
