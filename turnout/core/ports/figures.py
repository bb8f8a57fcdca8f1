"""Figures: what runs that have ended add up to, and how the system stands now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from turnout.core.run import Run
from turnout.core.tally import Deploy, Facts, StageEnd, Tally


@dataclass(frozen=True, slots=True)
class Open:
    """Things that are open: how many, and since when the oldest is; None: there is none."""

    number: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """``held``: a run deploys to it since then, None: none does. ``waiting``: runs that wait for it."""

    project: str
    environment: str
    held: datetime | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What is open now, in every project. ``runs``: by status. ``attempts``: by agent, since their launch.

    ``overdue``: attempts whose lease, or time to start, has ended. ``unpublished``: records that wait for the broker.
    ``uncounted``: runs that have ended and are not in the figures yet.
    """

    runs: Mapping[str, Open] = field(default_factory=dict)
    attempts: Mapping[str, Open] = field(default_factory=dict)
    overdue: int = 0
    unpublished: Open = Open()
    uncounted: int = 0
    turns: tuple[Turn, ...] = ()


class Figures(Protocol):
    """Thread-safe. Every method is one transaction. No cost grows with history."""

    def uncounted(self, limit: int = 100) -> Sequence[Run]:
        """Runs that have ended and are not counted yet, in the order of their creation."""
        ...

    def count(self, facts: Sequence[Facts], at: datetime) -> int:
        """Add each of them to its day and its project, but for those counted already; how many were not."""
        ...

    def days(self, project: str, since: date) -> Mapping[date, Tally]:
        """The days on which runs of the project have ended, from this one on, in order."""
        ...

    def projects(self) -> Mapping[str, int]:
        """Every project that has had a run, by name, and how many it has had."""
        ...

    def totals(self) -> Mapping[str, Tally]:
        """What every project comes to, since ever; without what `Tally.lasting` leaves out."""
        ...

    def deploys(self, project: str, since: datetime, limit: int = 1000) -> Sequence[Deploy]:
        """Those that ended since then, the newest first."""
        ...

    def stages(self, runs: Collection[str]) -> Mapping[str, Mapping[str, StageEnd]]:
        """Of those of the runs that have ended: how each stage did, in the plan's order. For lists: no more is read."""
        ...

    def standing(self, now: datetime) -> Standing: ...
