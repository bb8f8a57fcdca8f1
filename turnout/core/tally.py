"""What statistics need of runs that have ended, in a form that adds up: a run is a tally of one, a day is the sum of
its runs, a project the sum of its days. Pure: every store adds the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple, TypeVar

from pydantic import Field

from turnout.core.model import Outcome, Value
from turnout.core.spread import Spread

MOST_FLAKY = 200
MOST_BRANCHES = 50
"""Kept of one day: the tests that were flaky most often, and the branches that ended last."""
T = TypeVar("T")


class Flaky(Value):
    """``times``: runs in which the test failed and passed. ``run``: the last of them."""

    times: int
    last: datetime
    run: str


class Line(Value):
    """What the last run of a branch said. ``coverage`` in percent; ``vulnerabilities``: severity to number; None: it
    did not say."""

    at: datetime
    coverage: float | None = None
    vulnerabilities: dict[str, int] | None = None


class Deploys(Value):
    """Deploys to one environment. ``lead``: from the commit to the end of each good deploy that knows its commit's
    time."""

    good: int = 0
    failed: int = 0
    lead: Spread = Field(default_factory=Spread)


class Tally(Value):
    """``runs``, ``attempts``: by outcome. ``retries``: by budget. ``tested``: runs that ran tests.

    Lengths, in seconds: ``duration`` of runs that came to a verdict, without the time in which only people were waited
    for; ``queue`` and ``startup`` of attempts; ``stages``: of stages, by agent. ``lines``: by branch, of what is no
    pull request. ``deploys``: by environment.
    """

    runs: dict[str, int] = Field(default_factory=dict)
    attempts: dict[str, int] = Field(default_factory=dict)
    retries: dict[str, int] = Field(default_factory=dict)
    lost: int = 0
    tested: int = 0
    duration: Spread = Field(default_factory=Spread)
    queue: Spread = Field(default_factory=Spread)
    startup: Spread = Field(default_factory=Spread)
    stages: dict[str, Spread] = Field(default_factory=dict)
    flaky: dict[str, Flaky] = Field(default_factory=dict)
    lines: dict[str, Line] = Field(default_factory=dict)
    deploys: dict[str, Deploys] = Field(default_factory=dict)

    def plus(self, other: Tally) -> Tally:
        return Tally.model_construct(
            runs=_sums(self.runs, other.runs),
            attempts=_sums(self.attempts, other.attempts),
            retries=_sums(self.retries, other.retries),
            lost=self.lost + other.lost,
            tested=self.tested + other.tested,
            duration=self.duration.plus(other.duration),
            queue=self.queue.plus(other.queue),
            startup=self.startup.plus(other.startup),
            stages=_spreads(self.stages, other.stages),
            flaky=_flaky(self.flaky, other.flaky),
            lines=_lines(self.lines, other.lines),
            deploys=_deploys(self.deploys, other.deploys),
        )

    def lasting(self) -> Tally:
        """What is kept for ever: nothing in it grows with the number of tests and branches."""
        return self.with_(flaky={}, lines={})


class Deploy(Value):
    """One deploy. ``began_at``, ``at``: when it began, and ended. ``good``: it stayed. ``restored_at``: when it was
    undone, None: it was not."""

    project: str
    environment: str
    run: str
    stage: str
    began_at: datetime
    at: datetime
    good: bool
    restored_at: datetime | None = None


class Facts(Value):
    """What one run adds to its ``day`` (UTC, in which it ended) and its project."""

    run: str
    project: str
    day: date
    tally: Tally
    deploys: tuple[Deploy, ...] = ()


class StageEnd(NamedTuple):
    """``outcome`` None: it never came to one. ``allowed``: that it did not succeed is no harm."""

    outcome: Outcome | None
    allowed: bool


def day_of(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _sums(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _spreads(one: Mapping[str, Spread], other: Mapping[str, Spread]) -> dict[str, Spread]:
    found = dict(one)
    for name, each in other.items():
        found[name] = found[name].plus(each) if name in found else each
    return found


def _flaky(one: Mapping[str, Flaky], other: Mapping[str, Flaky]) -> dict[str, Flaky]:
    found = dict(one)
    for name, each in other.items():
        known = found.get(name, each)
        newest = max(known, each, key=lambda flaky: flaky.last)
        found[name] = newest.with_(times=each.times + (known.times if name in one else 0))
    most = sorted(found.items(), key=lambda each: (-each[1].times, -each[1].last.timestamp(), each[0]))
    return dict(most[:MOST_FLAKY])


def _lines(one: Mapping[str, Line], other: Mapping[str, Line]) -> dict[str, Line]:
    found = dict(one)
    for branch, each in other.items():
        known = found.get(branch)
        if known is None:
            found[branch] = each
            continue
        older, newer = sorted((known, each), key=lambda line: line.at)
        found[branch] = Line(
            at=newer.at,
            coverage=older.coverage if newer.coverage is None else newer.coverage,
            vulnerabilities=older.vulnerabilities if newer.vulnerabilities is None else newer.vulnerabilities,
        )
    newest = sorted(found.items(), key=lambda each: (each[1].at, each[0]), reverse=True)
    return dict(newest[:MOST_BRANCHES])


def _deploys(one: Mapping[str, Deploys], other: Mapping[str, Deploys]) -> dict[str, Deploys]:
    found = dict(one)
    for name, each in other.items():
        known = found.get(name)
        found[name] = each if known is None else _both(known, each)
    return found


def _both(one: Deploys, other: Deploys) -> Deploys:
    return Deploys.model_construct(
        good=one.good + other.good, failed=one.failed + other.failed, lead=one.lead.plus(other.lead)
    )
