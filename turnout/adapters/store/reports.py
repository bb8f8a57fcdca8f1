"""The idempotency records of what people were told. All functions take a link."""

from __future__ import annotations

from collections.abc import Sequence

from turnout.adapters.store.instants import instant, micros
from turnout.adapters.store.link import Link, Statement
from turnout.core.ports import ReportRow

_COLUMNS = "run, channel, fact, status, reference, version, at"
_VALUES = "(:run, :channel, :fact, :status, :reference, :version, :at)"
_RESERVE = Statement(f"INSERT INTO reports ({_COLUMNS}) VALUES {_VALUES} ON CONFLICT DO NOTHING")  # noqa: S608 — constants
_OVER = (
    f"INSERT INTO reports ({_COLUMNS}) VALUES {_VALUES} ON CONFLICT (run, channel, fact) DO UPDATE SET"  # noqa: S608
    " status = excluded.status, reference = excluded.reference, version = excluded.version, at = excluded.at"
)
_RECORD = Statement(_OVER)
_SETTLE = Statement(
    f"{_OVER} WHERE reports.status NOT IN ('sent', 'skipped') OR reports.version < excluded.version"
)
_FIND = Statement(
    "SELECT status, reference, version, at FROM reports WHERE run = :run AND channel = :channel AND fact = :fact"
)


def reserve(link: Link, report: ReportRow) -> ReportRow | None:
    """None: reserved now."""
    if link.send(_RESERVE, _values(report)).count == 1:
        return None
    return find(link, report.run, report.channel, report.fact)


def record(link: Link, report: ReportRow) -> None:
    link.send(_RECORD, _values(report))


def settle(link: Link, reports: Sequence[ReportRow]) -> None:
    link.send_many(_SETTLE, [_values(each) for each in reports])


def find(link: Link, run: str, channel: str, fact: str) -> ReportRow | None:
    rows = link.send(_FIND, {"run": run, "channel": channel, "fact": fact}).rows
    if not rows:
        return None
    status, reference, version, at = rows[0]
    return ReportRow(run, channel, fact, status, reference, version, instant(at))


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
