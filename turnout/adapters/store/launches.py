"""Who may launch an attempt: one row an attempt, taken by whoever inserts it, or finds it lapsed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from turnout.adapters.store.database import Database
from turnout.adapters.store.instants import instant, micros
from turnout.adapters.store.link import Link, Statement
from turnout.core.errors import NotFound, TransientError
from turnout.core.ports import Launch

_RESERVE = Statement(
    "INSERT INTO launches (attempt, runtime, handle, turn, until, at) VALUES (:attempt, :runtime, '', 1, :until, :now)"
    " ON CONFLICT (attempt) DO UPDATE SET turn = launches.turn + 1, until = excluded.until, runtime = excluded.runtime"
    " WHERE launches.handle = '' AND launches.until <= :now"
)
_RECORD = Statement("UPDATE launches SET handle = :handle WHERE attempt = :attempt AND handle = ''")
_RELEASE = Statement("DELETE FROM launches WHERE attempt = :attempt AND turn = :turn AND handle = ''")
_FIND = Statement("SELECT runtime, handle, turn, until, at FROM launches WHERE attempt = :attempt")


class SqlLaunches:
    """Every method raises TransientError when the database is away, locked or full."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(self, attempt: str, runtime: str, now: datetime, until: datetime) -> Launch:
        asked = {"attempt": attempt, "runtime": runtime, "now": micros(now), "until": micros(until)}
        with self._database.change() as link:
            mine = link.send(_RESERVE, asked).count == 1
            found = _find(link, attempt)
        if found is None:  # PostgreSQL: whoever was in the way has given it back since
            raise TransientError(f"the launch of attempt {attempt} has just been given back", retry_after=1)
        return replace(found, mine=mine)

    def record(self, attempt: str, handle: str) -> str:
        with self._database.change() as link:
            link.send(_RECORD, {"attempt": attempt, "handle": handle})
            found = _find(link, attempt)
        if found is None:
            raise NotFound(f"the launch of attempt {attempt} was never reserved, or long ago")
        return found.handle

    def release(self, attempt: str, turn: int) -> None:
        with self._database.change() as link:
            link.send(_RELEASE, {"attempt": attempt, "turn": turn})

    def find(self, attempt: str) -> Launch | None:
        with self._database.look() as link:
            return _find(link, attempt)


def _find(link: Link, attempt: str) -> Launch | None:
    rows = link.send(_FIND, {"attempt": attempt}).rows
    if not rows:
        return None
    runtime, handle, turn, until, at = rows[0]
    return Launch(attempt, runtime, handle, turn, instant(until), instant(at))
