"""Which main lines are broken, and since when. Pure: read from the rows of a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from turnout.console.pages.lights import outcome_light
from turnout.core.model import Outcome
from turnout.core.ports import RunRow
from turnout.reporting.view import Light

MAIN_LINES = ("main", "master", "trunk")
WRONG = (Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT)


@dataclass(frozen=True, slots=True)
class Broken:
    """A main line whose newest run that came to a verdict went wrong. ``since``: the end of the first such run in a
    row, as far as the list goes back; ``runs``: how many they are."""

    row: RunRow
    light: Light
    since: datetime
    runs: int


def broken(rows: Iterable[RunRow]) -> list[Broken]:
    """``rows``: newest first."""
    lines: dict[tuple[str, str], list[RunRow]] = {}
    for row in rows:
        if row.branch in MAIN_LINES and row.finished_at and row.outcome in (*WRONG, Outcome.SUCCESS):
            lines.setdefault((row.project, row.branch), []).append(row)
    found = []
    for each in lines.values():
        bad = list(takewhile(lambda row: row.outcome in WRONG, each))
        if bad:
            since = bad[-1].finished_at or bad[-1].created_at
            found.append(Broken(bad[0], outcome_light(bad[0].outcome), since, len(bad)))
    return found
