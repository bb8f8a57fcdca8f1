"""The ledger's questions: counts over a window, and what is open. An index answers each.

``CROSS JOIN`` and ``ORDER BY +column`` tell SQLite which one: the window's, or that of what is open.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from turnout.adapters.store.database import Database
from turnout.adapters.store.instants import instant, instant_or_none, micros
from turnout.adapters.store.link import Statement
from turnout.core.outgoing import FINISHED
from turnout.core.ports import Delivery, ReportRow
from turnout.core.ports.ledger import LastAccount, OpenAttempt, OpenRun, Untold

_DELIVERIES = Statement("SELECT status, count(*) FROM deliveries WHERE received_at >= :since GROUP BY status")
_UNANSWERED = Statement(
    "SELECT id, source, event, repository, status, received_at, run, reason, message FROM deliveries"
    " WHERE received_at >= :since AND status IN ('received', 'published')"
    " ORDER BY received_at LIMIT :limit"
)
_RUNLESS = Statement(
    "SELECT id, source, event, repository, status, received_at, run, reason, message FROM deliveries"
    " WHERE received_at >= :since AND (status = 'ignored' AND reason = '' OR status = 'run'"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = deliveries.run)"
    " AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.message = deliveries.message AND inbox.run = ''))"
    " ORDER BY received_at LIMIT :limit"
)
_MESSAGES = Statement(
    "SELECT CASE WHEN run = '' THEN 'nothing' ELSE 'run' END AS what, count(*) FROM inbox WHERE at >= :since"
    " GROUP BY what"
)
_ORPHANS = Statement(
    "SELECT message, run, at FROM inbox WHERE at >= :since AND run <> ''"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = inbox.run) ORDER BY at LIMIT :limit"
)
_RUNS = Statement(
    "SELECT CASE WHEN outcome = '' THEN 'open' ELSE outcome END AS what, count(*) FROM runs WHERE created_at >= :since"
    " GROUP BY what"
)
_OPEN_RUNS = Statement(
    "SELECT id, project, status, due_at,"
    " (SELECT count(*) FROM attempts WHERE attempts.run = runs.id AND attempts.finished_at IS NULL),"
    " coalesce((SELECT at FROM events WHERE events.run = runs.id AND events.version = runs.version), created_at)"
    " FROM runs WHERE finished_at IS NULL ORDER BY +seq LIMIT :limit"
)
_ATTEMPTS = Statement("SELECT status, count(*) FROM attempts WHERE launched_at >= :since GROUP BY status")
_OPEN_ATTEMPTS = Statement(
    "SELECT attempts.id, attempts.run, runs.project, attempts.task, attempts.launched_at,"
    " coalesce(attempts.lease_until, attempts.launch_deadline),"
    " CASE WHEN runs.finished_at IS NULL THEN 0 ELSE 1 END FROM attempts JOIN runs ON runs.id = attempts.run"
    " WHERE attempts.finished_at IS NULL ORDER BY +attempts.launched_at, attempts.id LIMIT :limit"
)
_REPORTS = Statement(
    "SELECT reports.status, count(*) FROM runs CROSS JOIN reports"
    " WHERE reports.run = runs.id AND runs.created_at >= :since AND reports.fact NOT LIKE '%~%' GROUP BY reports.status"
)
_OPEN_REPORTS = Statement(
    "SELECT reports.run, reports.channel, reports.fact, reports.status, reports.reference, reports.version, reports.at"
    " FROM runs CROSS JOIN reports WHERE reports.run = runs.id AND runs.created_at >= :since"
    " AND reports.status = 'sending' AND reports.fact NOT LIKE '%~%' ORDER BY reports.at, reports.fact LIMIT :limit"
)
_UNTOLD = Statement(
    "SELECT id, project, finished_at FROM runs WHERE created_at >= :since AND finished_at < :before"
    " AND NOT EXISTS (SELECT 1 FROM reports WHERE reports.run = runs.id AND reports.channel = :channel"
    " AND reports.fact = :fact) ORDER BY created_at LIMIT :limit"
)
_KEEP = Statement(
    "INSERT INTO last_account (id, at, unaccounted, under_way) VALUES (1, :at, :unaccounted, :under_way)"
    " ON CONFLICT (id) DO UPDATE SET at = excluded.at, unaccounted = excluded.unaccounted,"
    " under_way = excluded.under_way WHERE last_account.at <= excluded.at"
)
_LAST = Statement("SELECT at, unaccounted, under_way FROM last_account WHERE id = :id")


class SqlBooks:
    """Every method raises TransientError when the database is away, locked or full."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def deliveries(self, since: datetime) -> Mapping[str, int]:
        return self._counts(_DELIVERIES, since)

    def unanswered(self, since: datetime, limit: int) -> Sequence[Delivery]:
        return [_delivery(*row) for row in self._rows(_UNANSWERED, since=micros(since), limit=limit)]

    def runless(self, since: datetime, limit: int) -> Sequence[Delivery]:
        return [_delivery(*row) for row in self._rows(_RUNLESS, since=micros(since), limit=limit)]

    def messages(self, since: datetime) -> Mapping[str, int]:
        return self._counts(_MESSAGES, since)

    def orphans(self, since: datetime, limit: int) -> Sequence[tuple[str, str, datetime]]:
        rows = self._rows(_ORPHANS, since=micros(since), limit=limit)
        return [(message, run, instant(at)) for message, run, at in rows]

    def runs(self, since: datetime) -> Mapping[str, int]:
        return self._counts(_RUNS, since)

    def open_runs(self, limit: int) -> Sequence[OpenRun]:
        return [
            OpenRun(id, project, status, instant_or_none(due), int(attempts), instant(changed))
            for id, project, status, due, attempts, changed in self._rows(_OPEN_RUNS, limit=limit)
        ]

    def attempts(self, since: datetime) -> Mapping[str, int]:
        return self._counts(_ATTEMPTS, since)

    def open_attempts(self, limit: int) -> Sequence[OpenAttempt]:
        return [
            OpenAttempt(id, run, project, task, instant(launched), instant(until), bool(ended))
            for id, run, project, task, launched, until, ended in self._rows(_OPEN_ATTEMPTS, limit=limit)
        ]

    def reports(self, since: datetime) -> Mapping[str, int]:
        return self._counts(_REPORTS, since)

    def open_reports(self, since: datetime, limit: int) -> Sequence[ReportRow]:
        rows = self._rows(_OPEN_REPORTS, since=micros(since), limit=limit)
        return [
            ReportRow(run, channel, fact, status, reference, version, instant(at))
            for run, channel, fact, status, reference, version, at in rows
        ]

    def untold(
        self, since: datetime, before: datetime, channels: Collection[str], limit: int
    ) -> Sequence[Untold]:
        asked = {"since": micros(since), "before": micros(before), "fact": FINISHED, "limit": limit}
        found = [
            Untold(run, project, channel, instant(at))
            for channel in channels
            for run, project, at in self._rows(_UNTOLD, **asked, channel=channel)
        ]
        return sorted(found, key=lambda each: each.at)[:limit]

    def keep(self, account: LastAccount) -> None:
        with self._database.change() as link:
            values = {"unaccounted": account.unaccounted, "under_way": account.under_way}
            link.send(_KEEP, {"at": micros(account.at), **values})

    def last(self) -> LastAccount | None:
        rows = self._rows(_LAST, id=1)
        return LastAccount(instant(rows[0][0]), rows[0][1], rows[0][2]) if rows else None

    def _counts(self, statement: Statement, since: datetime) -> dict[str, int]:
        return {str(what): int(count) for what, count in self._rows(statement, since=micros(since))}

    def _rows(self, statement: Statement, **values: Any) -> Sequence[tuple[Any, ...]]:
        with self._database.look() as link:
            return link.send(statement, values).rows


def _delivery(
    id: str,
    source: str,
    event: str,
    repository: str,
    status: str,
    received_at: int,
    run: str,
    reason: str,
    message: str,
) -> Delivery:
    return Delivery(
        id, source, event, repository, status, instant(received_at), run=run, reason=reason, message=message
    )
