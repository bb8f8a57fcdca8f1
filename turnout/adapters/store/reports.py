"""The idempotency records of what people were told. All functions take a connection."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select, text

from turnout.adapters.store.instants import instant, micros
from turnout.adapters.store.tables import reports
from turnout.core.ports import ReportRow

_COLUMNS = "(run, channel, fact, status, reference, version, at)"
_VALUES = "(:run, :channel, :fact, :status, :reference, :version, :at)"
_RESERVE = text(f"INSERT INTO reports {_COLUMNS} VALUES {_VALUES} ON CONFLICT DO NOTHING")  # noqa: S608 — constants
_RECORD = text(
    f"INSERT INTO reports {_COLUMNS} VALUES {_VALUES} ON CONFLICT (run, channel, fact) DO UPDATE SET"  # noqa: S608
    " status = excluded.status, reference = excluded.reference, version = excluded.version, at = excluded.at"
)
_FIND = select(reports).where(
    reports.c.run == bindparam("run"),
    reports.c.channel == bindparam("channel"),
    reports.c.fact == bindparam("fact"),
)


def reserve(connection: Connection, report: ReportRow) -> ReportRow | None:
    """None: reserved now."""
    if connection.execute(_RESERVE, _values(report)).rowcount == 1:
        return None
    return find(connection, report.run, report.channel, report.fact)


def record(connection: Connection, report: ReportRow) -> None:
    connection.execute(_RECORD, _values(report))


def find(connection: Connection, run: str, channel: str, fact: str) -> ReportRow | None:
    row = connection.execute(_FIND, {"run": run, "channel": channel, "fact": fact}).first()
    if row is None:
        return None
    return ReportRow(
        run=row.run,
        channel=row.channel,
        fact=row.fact,
        status=row.status,
        reference=row.reference,
        version=row.version,
        at=instant(row.at),
    )


def _values(report: ReportRow) -> dict[str, object]:
    return {
        "run": report.run,
        "channel": report.channel,
        "fact": report.fact,
        "status": report.status,
        "reference": report.reference,
        "version": report.version,
        "at": micros(report.at),
    }
