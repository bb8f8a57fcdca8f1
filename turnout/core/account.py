"""The ledger's account: what came in, what became of it, and what nobody can account for. Pure.

Each kind of row is one line: ``total = sum(parts) + under way + unaccounted``. Something that has not come to its end
is under way until it has been so for longer than `SETTLE`; by then whoever is to take it up again has had their chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

SETTLE = timedelta(minutes=15)
"""Longer than the sweeper waits before it sends anything again (`turnout.sweeping`)."""
MOST = 1000
"""Rows of one kind that are looked at one by one; where there may be more, it is said."""
MOST_TRIES = 24
"""How often GitHub is asked for one delivery again."""

Kind = Literal["github", "delivery", "message", "run", "attempt", "report"]
KINDS: tuple[Kind, ...] = ("github", "delivery", "message", "run", "attempt", "report")


@dataclass(frozen=True, slots=True)
class Line:
    """``parts``: those accounted for, by what became of them (``run``, ``ignored``, ``success``, ``sent``, …)."""

    kind: Kind
    total: int
    parts: Mapping[str, int]
    under_way: int
    unaccounted: int


@dataclass(frozen=True, slots=True)
class Unaccounted:
    """One row that nobody can account for. ``at``: since when. ``run``, ``repository``: empty where there is none."""

    kind: Kind
    id: str
    at: datetime
    wrong: str
    hint: str
    run: str = ""
    repository: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """``since``: rows from then on are counted; what is open is looked at whatever its age. ``unaccounted``,
    ``under_way``: of all kinds together. ``lines``: one a kind, in the order of `KINDS`. ``rows``: each unaccounted
    one, the oldest first. ``notes``: what could not be compared, and why.
    """

    at: datetime
    since: datetime
    unaccounted: int
    under_way: int
    lines: tuple[Line, ...]
    rows: tuple[Unaccounted, ...]
    notes: tuple[str, ...]
