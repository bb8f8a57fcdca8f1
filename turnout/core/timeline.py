"""Where a run's time went: each attempt's waiting, start-up and work apart, and the stages that made it as long as it
was. Pure: read from the run's state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from turnout.core.model import Outcome
from turnout.core.run import Attempt, Run, Stage, Task


class Phase(StrEnum):
    """What an attempt was at.

    ``approval``: people had to agree. ``queue``: it could begin, but waited: for its group, its environment, a free
    place, the time of its retry. ``startup``: handed out, until its agent said that it had started. ``work``: the rest.
    """

    APPROVAL = "approval"
    QUEUE = "queue"
    STARTUP = "startup"
    WORK = "work"


@dataclass(frozen=True, slots=True)
class Span:
    """``open``: it still goes on; ``end`` is then the moment of looking."""

    phase: Phase
    start: datetime
    end: datetime
    open: bool = False

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class AttemptTime:
    """``number`` 0: a task that waits for its first attempt. ``outcome`` None: not over. ``spans``: none is empty."""

    stage: str
    task: str
    number: int
    outcome: Outcome | None
    spans: tuple[Span, ...]
    rollback: bool = False

    def seconds(self, phase: Phase) -> float:
        return sum(each.seconds for each in self.spans if each.phase is phase)


@dataclass(frozen=True, slots=True)
class Timeline:
    """``start`` to ``end`` is the run's whole time, until now where it goes on. ``rows``: in the order of their begin.

    ``critical``: the stages of the critical path, first to last: had one of them been faster, so had been the run.
    """

    start: datetime
    end: datetime
    rows: tuple[AttemptTime, ...]
    critical: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    def total(self, phase: Phase) -> float:
        """Seconds of all attempts together."""
        return sum(each.seconds(phase) for each in self.rows)


def timeline(run: Run, now: datetime) -> Timeline:
    """``now`` ends what has not ended."""
    end = max(run.finished_at or now, run.created_at)
    rows = [row for stage in run.stages.values() for row in _of_stage(run, stage, end)]
    rows.sort(key=lambda row: row.spans[0].start)
    return Timeline(run.created_at, end, tuple(rows), critical_path(run))


def critical_path(run: Run) -> tuple[str, ...]:
    """From the stage that ended (or will end) last back over the need that ended last, each time."""
    worked = [stage for stage in run.stages.values() if stage.started_at]
    if not worked or run.plan is None:
        return ()
    path = [max(worked, key=_ended)]
    while True:
        needs = [run.stages[name] for name in run.planned(path[-1].name).needs]
        before = [stage for stage in needs if stage.started_at]
        if not before:
            return tuple(stage.name for stage in reversed(path))
        path.append(max(before, key=_ended))


def _ended(stage: Stage) -> tuple[bool, datetime]:
    """Whatever has not ended ends last."""
    assert stage.started_at is not None
    return (stage.finished_at is None, stage.finished_at or stage.started_at)


def _of_stage(run: Run, stage: Stage, end: datetime) -> Iterator[AttemptTime]:
    if stage.carried:
        return
    ready = _ready(run, stage)
    if ready is not None:
        for task in stage.tasks.values():
            yield from _of_task(stage, task, ready, end)
    if stage.rollback is not None:
        for task in stage.rollback.tasks.values():
            yield from _of_task(stage, task, stage.rollback.started_at, end, rollback=True)


def _ready(run: Run, stage: Stage) -> datetime | None:
    """When all that it needs had ended; None while something of it hasn't."""
    ends = [run.created_at]
    for name in run.planned(stage.name).needs:
        need = run.stages[name]
        if need.carried:
            continue
        if need.finished_at is None:
            return None
        ends.append(need.finished_at)
    return max(ends)


def _of_task(
    stage: Stage, task: Task, ready: datetime, end: datetime, *, rollback: bool = False
) -> Iterator[AttemptTime]:
    since = ready
    for attempt in task.attempts:
        first = attempt.number == 1 and not rollback
        waited = _waited(stage, since, attempt.launched_at, first=first)
        spans = tuple(each for each in (*waited, *_own(attempt, end)) if each.seconds > 0 or each.open)
        outcome = attempt.result.outcome if attempt.result else None
        if spans:
            yield AttemptTime(stage.name, task.id, attempt.number, outcome, spans, rollback)
        since = attempt.finished_at or end
    if task.outcome is None and stage.finished_at is None and (task.current is None or not task.active):
        waits = tuple(_waited(stage, since, end, first=not task.attempts and not rollback, open_=True))
        if waits:
            yield AttemptTime(stage.name, task.id, len(task.attempts), None, waits, rollback)


def _waited(
    stage: Stage, since: datetime, until: datetime, *, first: bool, open_: bool = False
) -> Iterator[Span]:
    if first and stage.expires_at is not None:  # it asked for approval
        waiting = stage.status.value == "waiting"
        agreed = until if waiting or not stage.approvals else min(stage.approvals[-1].at, until)
        if agreed > since:
            yield Span(Phase.APPROVAL, since, agreed, open_ and waiting)
        since = max(agreed, since)
        if waiting:
            return
    if until > since:
        yield Span(Phase.QUEUE, since, until, open_)


def _own(attempt: Attempt, end: datetime) -> Iterator[Span]:
    over = attempt.finished_at
    begun = attempt.started_at or over or end
    yield Span(Phase.STARTUP, attempt.launched_at, begun, attempt.started_at is None and over is None)
    if attempt.started_at is not None:
        yield Span(Phase.WORK, attempt.started_at, max(over or end, attempt.started_at), over is None)
