"""Attempts that have not finished, their leases, and what is due."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select, text, tuple_

from turnout.adapters.store.instants import instant, micros
from turnout.adapters.store.link import Link, Statement, listed, scalar
from turnout.adapters.store.tables import attempts
from turnout.core.ports import AttemptRow

_ROW = select(
    attempts.c.id,
    attempts.c.run,
    attempts.c.task,
    attempts.c.agent,
    attempts.c.number,
    attempts.c.status,
    attempts.c.lease_until,
    attempts.c.launch_deadline,
).where(attempts.c.finished_at.is_(None))
_LEASES = Statement("SELECT id, lease_until FROM attempts WHERE lease_until IS NOT NULL AND id IN :attempts")
_RUN_OF = Statement("SELECT run FROM attempts WHERE id = :attempt")
_HEARTBEAT = Statement(
    "UPDATE attempts SET lease_until = :until WHERE id = :attempt AND status = 'started' AND finished_at IS NULL"
    " AND (lease_until IS NULL OR lease_until < :until)"
)
_DUE_RUNS = text(
    "SELECT due_at, id FROM runs WHERE due_at IS NOT NULL AND due_at <= :now ORDER BY due_at LIMIT :limit"
)
_DUE_ATTEMPTS = text(
    "SELECT lease_until, run FROM attempts WHERE lease_until IS NOT NULL AND lease_until <= :now"
    " ORDER BY lease_until LIMIT :limit"
)
_NEXT_RUN = text("SELECT min(due_at) FROM runs WHERE due_at IS NOT NULL")
_NEXT_ATTEMPT = text("SELECT min(lease_until) FROM attempts WHERE lease_until IS NOT NULL")


def of_run(connection: Connection, run: str) -> list[AttemptRow]:
    return _rows(
        connection, _ROW.where(attempts.c.run == run).order_by(attempts.c.launched_at, attempts.c.id)
    )


def launched_before(connection: Connection, before: datetime, limit: int) -> list[AttemptRow]:
    """Launched by then, and not started yet."""
    launched = attempts.c.status == text("'launched'")  # not a parameter: it must match the partial index
    return _rows(
        connection,
        _ROW.where(launched, attempts.c.launched_at < micros(before))
        .order_by(attempts.c.launched_at)
        .limit(limit),
    )


def open_after(connection: Connection, after: tuple[str, str], limit: int) -> list[AttemptRow]:
    place = tuple_(attempts.c.run, attempts.c.id)
    return _rows(
        connection,
        _ROW.where(attempts.c.run >= after[0], place > after)
        .order_by(attempts.c.run, attempts.c.id)
        .limit(limit),
    )


def heartbeat(link: Link, attempt: str, until: datetime) -> None:
    link.send(_HEARTBEAT, {"attempt": attempt, "until": micros(until)})


def run_of(link: Link, attempt: str) -> str:
    """Empty: there is no such attempt."""
    found = scalar(link, _RUN_OF, attempt=attempt)
    return str(found) if found is not None else ""


def leases(link: Link, wanted: Collection[str]) -> dict[str, datetime]:
    if not wanted:
        return {}
    rows = link.send(_LEASES, {"attempts": listed(link, list(wanted))}).rows
    return {attempt: instant(until) for attempt, until in rows}


def due(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Each run once, the longest overdue first."""
    asked = {"now": micros(now), "limit": limit}
    found = [
        (at, run) for query in (_DUE_RUNS, _DUE_ATTEMPTS) for at, run in connection.execute(query, asked)
    ]
    return list(dict.fromkeys(run for _, run in sorted(found)))[:limit]


def next_due(connection: Connection) -> datetime | None:
    found = [connection.execute(query).scalar() for query in (_NEXT_RUN, _NEXT_ATTEMPT)]
    return min((instant(at) for at in found if at is not None), default=None)


def _rows(connection: Connection, statement: Select[Any]) -> list[AttemptRow]:
    return [
        AttemptRow(
            id=row.id,
            run=row.run,
            task=row.task,
            agent=row.agent,
            number=row.number,
            status=row.status,
            lease_until=instant(row.launch_deadline if row.lease_until is None else row.lease_until),
        )
        for row in connection.execute(statement)
    ]
