"""The `RecordedChanges` port over the database: the first events of runs, and triggers that the outbox still has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from turnout.adapters.store.database import Database
from turnout.adapters.store.instants import instant
from turnout.adapters.store.link import Link, Statement
from turnout.adapters.store.projection import storable
from turnout.core.change import Change
from turnout.core.ports.recorded import WINDOW, RecordedChange

_RUNS = Statement(
    "SELECT runs.id, runs.created_at, events.body FROM runs"
    " JOIN events ON events.run = runs.id AND events.version = 1"
    " WHERE runs.project = :project ORDER BY runs.seq DESC LIMIT :limit"
)
_DELIVERIES = Statement(
    "SELECT newest.id, newest.received_at, newest.reason, outbox.value FROM"
    " (SELECT id, received_at, reason, status, trigger_row, seq FROM deliveries WHERE repository = :project"
    " ORDER BY seq DESC LIMIT :window) AS newest"
    " JOIN outbox ON outbox.id = newest.trigger_row"
    " WHERE newest.status = 'ignored' ORDER BY newest.seq DESC LIMIT :limit"
)


@dataclass(frozen=True)
class SqlRecordedChanges:
    database: Database

    def newest(self, project: str, limit: int) -> Sequence[RecordedChange]:
        with self.database.look() as link:
            found = [*_of_runs(link, project, limit), *_of_deliveries(link, project, limit)]
        return sorted(found, key=lambda each: each.at, reverse=True)[:limit]


def _of_runs(link: Link, project: str, limit: int) -> Iterator[RecordedChange]:
    rows = link.send(_RUNS, {"project": storable(project), "limit": limit * WINDOW}).rows
    left = limit
    for run, at, body in rows:
        first = json.loads(body)
        if first.get("rerun_of") or not left:
            continue
        left -= 1
        yield RecordedChange(
            instant(at),
            Change.model_validate(first["change"], extra="ignore"),
            run,
            first.get("delivery", ""),
        )


def _of_deliveries(link: Link, project: str, limit: int) -> Iterator[RecordedChange]:
    asked = {"project": storable(project), "window": limit * WINDOW, "limit": limit}
    for delivery, at, reason, value in link.send(_DELIVERIES, asked).rows:
        change = change_of(bytes(value))
        if change is not None:
            yield RecordedChange(instant(at), change, "", delivery, reason)


def change_of(body: bytes) -> Change | None:
    """The change in a message; None: it has none, or is of another version of us."""
    try:
        return Change.model_validate(json.loads(body).get("change"), extra="ignore")
    except (ValueError, ValidationError, AttributeError):
        return None
