"""Reading runs and their events. No function costs more as history grows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from turnout.adapters.store import folded
from turnout.adapters.store.finding import MOST_FOUND, wanted
from turnout.adapters.store.instants import instant, instant_or_none
from turnout.adapters.store.link import Link, Statement, scalar
from turnout.adapters.store.projection import OPEN_STATUSES, storable
from turnout.adapters.store.tables import runs
from turnout.core import events as e
from turnout.core import run as r
from turnout.core.ports import RunFilter, RunRow, StoredEvent
from turnout.core.ports.store import ANY_RUN

_LISTED = (
    runs.c.id,
    runs.c.project,
    runs.c.repository,
    runs.c.branch,
    runs.c.sha,
    runs.c.title,
    runs.c.author,
    runs.c.kind,
    runs.c.status,
    runs.c.outcome,
    runs.c.created_at,
    runs.c.finished_at,
    runs.c.group_name,
    runs.c.version,
    runs.c.number,
)
_STATE = Statement(
    "SELECT version, CASE WHEN version = :known THEN NULL ELSE state END FROM runs WHERE id = :run"
)
_SEEN = Statement("SELECT 1 FROM inbox WHERE message = :message")
_OPEN = runs.c.finished_at.is_(None)
_GROUP = (
    select(*_LISTED)
    .where(_OPEN, runs.c.project == bindparam("project"), runs.c.group_name == bindparam("group_name"))
    .order_by(runs.c.seq)
)
_EVENTS = Statement(
    "SELECT version, at, body FROM events WHERE run = :run AND version > :after ORDER BY version"
)
_PREVIOUS = Statement(
    "SELECT outcome FROM runs WHERE project = :project AND branch = :branch"
    " AND seq < coalesce((SELECT seq FROM runs WHERE id = :before), :never)"
    " AND finished_at IS NOT NULL ORDER BY seq DESC LIMIT 1"
)
_NEVER = 2**62


def seen(link: Link, message: str) -> bool:
    return scalar(link, _SEEN, message=message) is not None


def load(link: Link, run: str, known: r.Run | None = None) -> r.Run | None:
    """``known``: a state of the run that was stored; it is given back if there is none newer.

    Raises: Newer.
    """
    rows = link.send(_STATE, {"run": run, "known": known.version if known else 0}).rows
    if not rows:
        return None
    version, state = rows[0]
    if known is not None and known.version == version:
        return known
    return folded.read(link, run, state, known if known is not None and known.version < version else None)


def history(link: Link, run: str, after: int) -> list[StoredEvent]:
    rows = link.send(_EVENTS, {"run": run, "after": after}).rows
    return [StoredEvent(run, version, instant(at), e.load(body)) for version, at, body in rows]


def newest(connection: Connection, asked: RunFilter, *, limit: int, before: str) -> Sequence[RunRow]:
    statement = select(*_LISTED).order_by(runs.c.seq.desc())
    if before:
        statement = statement.where(runs.c.seq < _seq_of(before))
    if asked.status in OPEN_STATUSES:
        # Few are open: all of them are read, so that no planner walks through a project's history instead.
        found = _rows(connection.execute(statement.where(_OPEN, runs.c.status == asked.status)))
        return [row for row in found if asked.takes(row)][:limit]
    if asked.status or asked.outcome:
        statement = statement.where(runs.c.finished_at.is_not(None))
    for column, value in (
        (runs.c.status, asked.status),
        (runs.c.project, asked.project),
        (runs.c.branch, asked.branch),
        (runs.c.outcome, asked.outcome),
        (runs.c.author, asked.person),
    ):
        if value:
            statement = statement.where(column == storable(value))
    return _rows(connection.execute(statement.limit(limit)))


def find(connection: Connection, given: str) -> Sequence[RunRow]:
    asked = wanted(given)
    if asked is None:
        return []
    if asked.latest:
        return newest(connection, ANY_RUN, limit=1, before="")
    statement = select(*_LISTED).limit(MOST_FOUND)
    if asked.beginning:
        end = asked.beginning + "~"  # after every character of an id
        statement = statement.where(runs.c.id >= asked.beginning, runs.c.id < end).order_by(runs.c.id)
    else:
        statement = statement.where(runs.c.number == asked.number).order_by(runs.c.seq.desc())
        if asked.project:
            statement = statement.where(runs.c.project == asked.project)
    return _rows(connection.execute(statement))


def of_group(connection: Connection, project: str, group: str) -> Sequence[RunRow]:
    return _rows(connection.execute(_GROUP, {"project": project, "group_name": group}))


def previous_outcome(link: Link, project: str, branch: str, before: str) -> str:
    found = link.send(_PREVIOUS, {"project": project, "branch": branch, "before": before, "never": _NEVER})
    return str(found.rows[0][0]) if found.rows else ""


def _seq_of(run: str) -> Any:
    """Its place in the order of creation; after all others for a run that isn't here (yet)."""
    return func.coalesce(select(runs.c.seq).where(runs.c.id == storable(run)).scalar_subquery(), _NEVER)


def _rows(rows: Iterable[Row[Any]]) -> list[RunRow]:
    return [
        RunRow(
            id=row.id,
            project=row.project,
            repository=row.repository,
            branch=row.branch,
            sha=row.sha,
            title=row.title,
            author=row.author,
            kind=row.kind,
            status=row.status,
            outcome=row.outcome,
            created_at=instant(row.created_at),
            finished_at=instant_or_none(row.finished_at),
            group=row.group_name,
            version=row.version,
            number=row.number,
        )
        for row in rows
    ]
