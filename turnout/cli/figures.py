"""What `turnout figures` prints."""

from __future__ import annotations

from datetime import timedelta

from rich.markup import escape
from rich.table import Table

from turnout.cli.reaching import reach
from turnout.cli.shown import console, duration, print_json
from turnout.core.figures import Dora, Percentiles, Point, ProjectFigures
from turnout.core.tally import day_of
from turnout.wiring import wiring

BARS = " ▁▂▃▄▅▆▇█"
MOST_FLAKY = 10


def figures(project: str, days: int, *, as_json: bool) -> None:
    system, wired = reach(), wiring()
    if not system.at:
        wired.figuring.catch_up()  # where no sweeper runs
    since = day_of(wired.clock.now()) - timedelta(days=days - 1)
    found = system.sight.project(project, since)
    if as_json:
        print_json(found.to_json())
    elif not found.runs:
        console.print(f"No run of {escape(project)} has ended since {since}. `turnout runs` lists all.")
    else:
        _show(found)


def _show(found: ProjectFigures) -> None:
    rate = "" if found.success_rate is None else f"   {found.success_rate:.0%} of those judged succeeded"
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in sorted(found.runs.items()))
    console.print(f"[bold]{escape(found.project)}[/]  {found.since} to {found.until}")
    console.print(f"  runs        {outcomes}{rate}")
    console.print(f"  a day       {_chart(found.series['runs'])}")
    table = Table("", "p50", "p95", box=None, pad_edge=False)
    rows = {"duration": found.duration, "queue": found.queue, "start-up": found.startup}
    for name, each in (rows | {f"stage: {agent}": each for agent, each in found.stages.items()}).items():
        table.add_row(f"  {name}", *_both(each))
    console.print(table)
    retries = ", ".join(f"{number} {budget}" for budget, number in sorted(found.retries.items())) or "none"
    console.print(f"  attempts    {found.attempts}   retries: {retries}   lost: {found.lost}")
    if found.coverage is not None:
        console.print(
            f"  coverage    {found.coverage:.1f} % on {escape(found.branch)}  {_chart(found.series['coverage'])}"
        )
    if found.vulnerabilities is not None:
        told = ", ".join(
            f"{number} {severity}" for severity, number in found.vulnerabilities.items() if number
        )
        console.print(f"  found       {told or 'no vulnerabilities'} on {escape(found.branch)}")
    for flaky in found.flaky[:MOST_FLAKY]:
        often = f"{flaky.times}×, {flaky.share:.0%} of runs, last {flaky.last:%Y-%m-%d}"
        console.print(f"  [yellow]~[/] {escape(flaky.test)}  {often}")
    for deploys in found.dora:
        console.print(_dora(deploys))


def _both(each: Percentiles) -> tuple[str, str]:
    return _length(each.p50), _length(each.p95)


def _length(seconds: float | None) -> str:
    return "–" if seconds is None else duration(seconds)


def _chart(points: tuple[Point, ...]) -> str:
    most = max((value for _, value in points), default=0.0)
    return "".join(BARS[round(value / most * (len(BARS) - 1))] if most else BARS[0] for _, value in points)


def _dora(each: Dora) -> str:
    failing = f"   [red]failing since {each.failing_since:%Y-%m-%d %H:%M}[/]" if each.failing_since else ""
    return (
        f"  to [bold]{escape(each.environment)}[/]  {each.deploys} deploys, {each.per_day:.2g} good a day"
        f"   {each.failure_rate:.0%} failed   lead time {_length(each.lead_time)}"
        f"   time to restore {_length(each.restore)}{failing}"
    )
