"""Statistics of a project over some days, in a shape that charts take. Pure. docs/figures.md says what each means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import reduce
from statistics import median
from typing import TypeVar

from pydantic import Field

from turnout.core.facts import VERDICTS
from turnout.core.model import Outcome, Value
from turnout.core.spread import Spread
from turnout.core.tally import Deploy, Deploys, Line, Tally

T = TypeVar("T")
Point = tuple[date, float]
SEVERITIES = ("critical", "high", "medium", "low")
PRODUCTION = ("production", "prod", "live")
"""Environments that people mean when they speak of deploys, the first that there is."""


class Percentiles(Value):
    """In seconds; None: of nothing."""

    p50: float | None = None
    p95: float | None = None


class FlakyTest(Value):
    """``times``: runs in which it was flaky; ``share``: of the runs that ran tests. ``run``: the last of them."""

    test: str
    times: int
    share: float
    last: datetime
    run: str


class Dora(Value):
    """DORA's four for one environment. ``per_day``: good deploys a day. ``lead_time``, ``restore``: medians in seconds,
    None: not known. ``failing_since``: the last deploy failed, and nothing has mended it."""

    environment: str
    deploys: int
    per_day: float
    lead_time: float | None
    failure_rate: float
    restore: float | None
    failing_since: datetime | None = None


class ProjectFigures(Value):
    """``runs``: by outcome. ``branch``: the one that trends are of. ``stages``: by agent. ``series``: name to points,
    at most one a day: a day of which nothing is known has none. ``dora``: production first."""

    project: str
    since: date
    until: date
    runs: dict[str, int] = Field(default_factory=dict)
    success_rate: float | None = None
    duration: Percentiles = Percentiles()
    queue: Percentiles = Percentiles()
    startup: Percentiles = Percentiles()
    stages: dict[str, Percentiles] = Field(default_factory=dict)
    attempts: int = 0
    retries: dict[str, int] = Field(default_factory=dict)
    lost: int = 0
    flaky: tuple[FlakyTest, ...] = ()
    branch: str = ""
    coverage: float | None = None
    vulnerabilities: dict[str, int] | None = None
    series: dict[str, tuple[Point, ...]] = Field(default_factory=dict)
    dora: tuple[Dora, ...] = ()


def figures_of(
    project: str, since: date, until: date, days: Mapping[date, Tally], deploys: Sequence[Deploy]
) -> ProjectFigures:
    """``days``: those on which runs ended. ``deploys``: those that ended on them, the newest of each environment."""
    all_ = reduce(Tally.plus, days.values(), Tally())
    branch = _main_line(days)
    lines = {day: tally.lines[branch] for day, tally in sorted(days.items()) if branch in tally.lines}
    return ProjectFigures(
        project=project,
        since=since,
        until=until,
        runs=all_.runs,
        success_rate=success_rate(all_.runs),
        duration=percentiles(all_.duration),
        queue=percentiles(all_.queue),
        startup=percentiles(all_.startup),
        stages={agent: percentiles(all_.stages[agent]) for agent in sorted(all_.stages)},
        attempts=sum(all_.attempts.values()),
        retries=all_.retries,
        lost=all_.lost,
        flaky=tuple(
            FlakyTest(
                test=test, times=each.times, share=each.times / all_.tested, last=each.last, run=each.run
            )
            for test, each in all_.flaky.items()
        ),
        branch=branch,
        coverage=_latest(lines, lambda line: line.coverage),
        vulnerabilities=_latest(lines, lambda line: line.vulnerabilities),
        series=_series(since, until, days, lines),
        dora=tuple(_dora(all_.deploys, deploys, (until - since).days + 1)),
    )


def success_rate(runs: Mapping[str, int]) -> float | None:
    """The share of success (0 to 1) among the runs that came to a verdict."""
    judged = sum(runs.get(outcome.value, 0) for outcome in VERDICTS)
    return runs.get(Outcome.SUCCESS.value, 0) / judged if judged else None


def percentiles(lengths: Spread) -> Percentiles:
    return Percentiles(p50=lengths.quantile(0.5), p95=lengths.quantile(0.95))


def _main_line(days: Mapping[date, Tally]) -> str:
    """The branch that said something on most days: what everything is merged into."""
    said: dict[str, tuple[int, date]] = {}
    for day, tally in days.items():
        for branch in tally.lines:
            said[branch] = (said.get(branch, (0, day))[0] + 1, day)
    return max(said, key=lambda branch: (said[branch], branch), default="")


def _latest(lines: Mapping[date, Line], of: Callable[[Line], T | None]) -> T | None:
    said = (of(lines[day]) for day in sorted(lines, reverse=True))
    return next((each for each in said if each is not None), None)


def _series(
    since: date, until: date, days: Mapping[date, Tally], lines: Mapping[date, Line]
) -> dict[str, tuple[Point, ...]]:
    every = [since + timedelta(days=number) for number in range((until - since).days + 1)]
    nothing = Tally()
    found: dict[str, list[tuple[date, float | None]]] = {
        "runs": [(day, sum(days.get(day, nothing).runs.values())) for day in every],
        "deploys": [
            (day, sum(each.good + each.failed for each in days.get(day, nothing).deploys.values()))
            for day in every
        ],
        "flaky": [(day, len(tally.flaky)) for day, tally in days.items()],
        "success_rate": [(day, success_rate(tally.runs)) for day, tally in days.items()],
        "coverage": [(day, line.coverage) for day, line in lines.items()],
    }
    for name, of in (("duration", _duration), ("queue", _queue)):
        for share, called in ((0.5, "p50"), (0.95, "p95")):
            found[f"{name}_{called}"] = [(day, of(tally).quantile(share)) for day, tally in days.items()]
    counted = [(day, line.vulnerabilities) for day, line in lines.items() if line.vulnerabilities is not None]
    for severity in SEVERITIES:
        found[f"vulnerabilities_{severity}"] = [(day, counts.get(severity, 0)) for day, counts in counted]
    return {
        name: tuple((day, float(value)) for day, value in sorted(points) if value is not None)
        for name, points in found.items()
    }


def _duration(tally: Tally) -> Spread:
    return tally.duration


def _queue(tally: Tally) -> Spread:
    return tally.queue


def _dora(counts: Mapping[str, Deploys], deploys: Sequence[Deploy], days: int) -> list[Dora]:
    found = []
    for environment, each in counts.items():
        mine = sorted((d for d in deploys if d.environment == environment), key=lambda d: d.at)
        restored, failing_since = _restored(mine)
        done = each.good + each.failed
        found.append(
            Dora(
                environment=environment,
                deploys=done,
                per_day=each.good / days,
                lead_time=each.lead.quantile(0.5),
                failure_rate=each.failed / done,
                restore=median(restored) if restored else None,
                failing_since=failing_since,
            )
        )
    return sorted(found, key=lambda dora: (_rank(dora.environment), -dora.deploys, dora.environment))


def _rank(environment: str) -> int:
    return PRODUCTION.index(environment) if environment in PRODUCTION else len(PRODUCTION)


def _restored(deploys: Sequence[Deploy]) -> tuple[list[float], datetime | None]:
    """Of deploys to one environment, the oldest first: how long each failure lasted, and since when one still does."""
    lasted: list[float] = []
    since: datetime | None = None
    for each in deploys:
        if not each.good:
            since = since or each.began_at
        mended = each.at if each.good else each.restored_at
        if since is not None and mended is not None:
            lasted.append((mended - since).total_seconds())
            since = None
    return lasted, since
