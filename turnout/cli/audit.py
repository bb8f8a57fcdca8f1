"""What `turnout audit` prints."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from rich.markup import escape
from rich.table import Table

from turnout.cli.reaching import reach
from turnout.cli.shown import console, print_json
from turnout.core.account import Account, Line, Unaccounted
from turnout.core.errors import PermanentError
from turnout.wiring import wiring

_SPAN = re.compile(r"(\d+)([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
NAMES = {
    "github": "GitHub's deliveries",
    "delivery": "our deliveries",
    "message": "messages",
    "run": "runs",
    "attempt": "attempts",
    "report": "reports",
}


def audit(since: str, *, as_json: bool) -> int:
    """The exit status: 0 where everything is accounted for, 1 otherwise. Raises: PermanentError, TransientError."""
    account = reach().account(_since(since, wiring().clock.now()) if since else None)
    if as_json:
        print_json(to_json(account))
    else:
        _print(account)
    return 1 if account.unaccounted else 0


def to_json(account: Account) -> dict[str, object]:
    return {
        "at": account.at.isoformat(),
        "since": account.since.isoformat(),
        "unaccounted": account.unaccounted,
        "under_way": account.under_way,
        "lines": [_line(each) for each in account.lines],
        "rows": [_row(each) for each in account.rows],
        "notes": list(account.notes),
    }


def _line(line: Line) -> dict[str, object]:
    return {
        "kind": line.kind,
        "total": line.total,
        "parts": dict(line.parts),
        "under_way": line.under_way,
        "unaccounted": line.unaccounted,
    }


def _row(row: Unaccounted) -> dict[str, object]:
    return {
        "kind": row.kind,
        "id": row.id,
        "at": row.at.isoformat(),
        "wrong": row.wrong,
        "hint": row.hint,
        "run": row.run,
        "repository": row.repository,
    }


def _print(account: Account) -> None:
    table = Table("", "all", "accounted for", "under way", "unaccounted", box=None, pad_edge=False)
    for line in account.lines:
        parts = ", ".join(f"{count} {what}" for what, count in line.parts.items())
        missing = f"[red]{line.unaccounted}[/]" if line.unaccounted else "0"
        table.add_row(NAMES[line.kind], str(line.total), parts, str(line.under_way), missing)
    console.print(f"[dim]since {account.since:%Y-%m-%d %H:%M} UTC[/]")
    console.print(table)
    for row in account.rows:
        run = f"  run {row.run[:12]}" if row.run and row.kind != "run" else ""
        console.print(f"[red]✘[/] {NAMES[row.kind]} [bold]{escape(row.id)}[/]  {row.at:%Y-%m-%d %H:%M}{run}")
        console.print(f"    {escape(row.wrong)}")
        console.print(f"    [dim]{escape(row.hint)}[/]")
    for note in account.notes:
        console.print(f"[yellow]note[/] {escape(note)}")
    console.print(f"unaccounted: {'[red]' if account.unaccounted else '[green]'}{account.unaccounted}[/]")


def _since(given: str, now: datetime) -> datetime:
    found = _SPAN.fullmatch(given.strip())
    if found:
        return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        at = datetime.fromisoformat(given)
    except ValueError as error:
        raise PermanentError(
            f"--since: {given!r} is no span and no time", "expected 90m, 12h, 3d or 2026-11-03T09:30"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=now.tzinfo)
