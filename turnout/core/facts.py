"""The facts of one run that has ended: the tally of one. Pure, from the run's state alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from turnout.core.model import ChangeKind, Outcome
from turnout.core.result import Result
from turnout.core.run import Run, Stage
from turnout.core.spread import spread
from turnout.core.tally import Deploy, Deploys, Facts, Flaky, Line, Tally, day_of
from turnout.core.timeline import Phase, Span, Timeline, timeline

VERDICTS = (Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT)
"""Outcomes of work that came to its end. What was cancelled or skipped says nothing of how good or how slow it is."""


def facts_of(run: Run) -> Facts:
    """Of a run that has ended."""
    assert run.finished_at is not None, run.id
    assert run.outcome is not None, run.id
    ended = run.finished_at
    tasks = [task for _, task in run.tasks()]
    results = [attempt.result for task in tasks for attempt in task.attempts if attempt.result is not None]
    times = timeline(run, ended)
    deploys = tuple(_deploys(run))
    tests = [each.tests for each in results if each.tests is not None]
    flaky = {name for each in tests for name in each.flaky}
    retries = {
        "pipeline": sum(task.retries for task in tasks),
        "infrastructure": sum(task.lost for task in tasks),
    }
    return Facts(
        run=run.id,
        project=run.project,
        day=day_of(ended),
        deploys=deploys,
        tally=Tally(
            runs={run.outcome.value: 1},
            attempts=dict(Counter(each.outcome.value for each in results)),
            retries={budget: number for budget, number in retries.items() if number},
            lost=sum(each.lost for each in results),
            tested=1 if tests else 0,
            duration=spread([_busy(times)] if run.outcome in VERDICTS and run.plan is not None else []),
            queue=spread(row.seconds(Phase.QUEUE) for row in times.rows if row.number),
            startup=spread(row.seconds(Phase.STARTUP) for row in times.rows if row.number),
            stages={agent: spread(lengths) for agent, lengths in _stages(run).items()},
            flaky={name: Flaky(times=1, last=ended, run=run.id) for name in flaky},
            lines=_lines(run, ended),
            deploys=_by_environment(run, deploys),
        ),
    )


def _stages(run: Run) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for stage in run.stages.values():
        if stage.started_at and stage.finished_at and stage.outcome in VERDICTS:
            length = (stage.finished_at - stage.started_at).total_seconds()
            found.setdefault(run.planned(stage.name).agent, []).append(length)
    return found


def _busy(times: Timeline) -> float:
    """The run's whole time, without that in which it waited for people and nothing else went on."""
    spans = [span for row in times.rows for span in row.spans]
    asked = _union(span for span in spans if span.phase is Phase.APPROVAL)
    other = _union(span for span in spans if span.phase is not Phase.APPROVAL)
    waited = sum((end - start).total_seconds() for start, end in asked)
    beside = sum(
        max(0.0, (min(end, until) - max(start, since)).total_seconds())
        for start, end in asked
        for since, until in other
    )
    return times.seconds - waited + beside


def _union(spans: Iterable[Span]) -> Sequence[tuple[datetime, datetime]]:
    found: list[tuple[datetime, datetime]] = []
    for each in sorted(spans, key=lambda span: span.start):
        if found and each.start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], each.end))
        else:
            found.append((each.start, each.end))
    return found


def _last(stage: Stage) -> Iterator[Result]:
    """What the last attempt of each task said."""
    for task in stage.tasks.values():
        if task.current is not None and task.current.result is not None:
            yield task.current.result


def _lines(run: Run, at: datetime) -> dict[str, Line]:
    if run.change.kind is ChangeKind.PULL_REQUEST or not run.change.branch:
        return {}
    covered: list[float] = []
    counts: Counter[str] | None = None
    for stage in run.stages.values():
        for result in _last(stage):
            if result.tests is not None and result.tests.coverage is not None:
                covered.append(result.tests.coverage)
            if result.findings is not None and run.planned(stage.name).agent == "security":
                counts = (counts or Counter()) + Counter(result.findings.counts)
    if not covered and counts is None:
        return {}
    # of several suites (the cells of a matrix, for one) the best tells what the tests reach
    coverage = max(covered) if covered else None
    return {
        run.change.branch: Line(
            at=at, coverage=coverage, vulnerabilities=None if counts is None else dict(counts)
        )
    }


def _deploys(run: Run) -> Iterator[Deploy]:
    for stage in run.stages.values():
        planned = run.planned(stage.name)
        if planned.agent != "deploy" or not planned.environment or stage.carried:
            continue
        if stage.started_at is None or stage.finished_at is None or stage.outcome not in VERDICTS:
            continue
        said = [each.outputs for each in _last(stage)]
        if any(each.get("dry_run") == "true" for each in said):
            continue
        back = stage.rollback
        good = stage.outcome is Outcome.SUCCESS and back is None
        restored = None
        if back is not None and back.outcome is Outcome.SUCCESS:
            restored = back.finished_at
        elif not good and any(each.get("rolled_back") == "true" for each in said):
            restored = stage.finished_at
        yield Deploy(
            project=run.project,
            environment=planned.environment,
            run=run.id,
            stage=stage.name,
            began_at=stage.started_at,
            at=stage.finished_at,
            good=good,
            restored_at=restored,
        )


def _by_environment(run: Run, deploys: Iterable[Deploy]) -> dict[str, Deploys]:
    found: dict[str, Deploys] = {}
    for each in deploys:
        known = found.get(each.environment, Deploys())
        lead = []
        if each.good and run.change.committed_at is not None:
            lead = [(each.at - run.change.committed_at).total_seconds()]
        found[each.environment] = Deploys(
            good=known.good + each.good,
            failed=known.failed + (not each.good),
            lead=known.lead.plus(spread(lead)),
        )
    return found
