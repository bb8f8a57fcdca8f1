"""A run as its page shows it: what stands in each stage, worst first. Pure; the templates only write it down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from turnout.console.pages.lights import attempt_light, stage_lights
from turnout.core.model import Outcome
from turnout.core.plan import PlannedStage
from turnout.core.result import Artifact, Findings, Result, Tests
from turnout.core.run import ApprovalGiven, Attempt, Run, Stage, StageStatus, Task
from turnout.core.timeline import AttemptTime, Phase, Timeline, timeline
from turnout.reporting.view import Light, RunView, look

BAD = frozenset({Light.FAILURE, Light.ERROR, Light.TIMED_OUT, Light.ALLOWED})
MOVING = frozenset({Light.RUNNING, Light.RETRYING, Light.WAITING})


@dataclass(frozen=True, slots=True)
class ShownAttempt:
    """``newest``: of its task. ``result`` is empty while it has none."""

    task: str
    number: int
    light: Light
    newest: bool
    worker: str
    sandbox: str
    by: str
    cancel_reason: str
    started_at: datetime | None
    finished_at: datetime | None
    times: AttemptTime | None
    result: Result
    rollback: bool = False

    def seconds(self, phase: str) -> float | None:
        """None: nothing of the kind."""
        return (self.times.seconds(Phase(phase)) or None) if self.times else None

    @property
    def tests(self) -> Tests | None:
        return self.result.tests

    @property
    def findings(self) -> Findings | None:
        return self.result.findings

    @property
    def artifacts(self) -> Sequence[Artifact]:
        return self.result.artifacts


@dataclass(frozen=True, slots=True)
class ShownStage:
    """``attempts``: the newest of each task first, those that went wrong before the others. ``unfold``: worth a
    look."""

    name: str
    planned: PlannedStage
    stage: Stage
    light: Light
    note: str
    seconds: float | None
    attempts: tuple[ShownAttempt, ...]
    unfold: bool

    @property
    def approvals(self) -> tuple[ApprovalGiven, ...]:
        return self.stage.approvals

    @property
    def waits(self) -> bool:
        return self.stage.status is StageStatus.WAITING


@dataclass(frozen=True, slots=True)
class ShownRun:
    run: Run
    view: RunView
    stages: tuple[ShownStage, ...]
    timeline: Timeline
    now: datetime

    @property
    def seconds(self) -> float:
        return self.timeline.seconds

    @property
    def broken(self) -> tuple[ShownStage, ...]:
        """Stages that went wrong for good."""
        return tuple(each for each in self.stages if each.light in BAD - {Light.ALLOWED})

    @property
    def wanted(self) -> tuple[ShownStage, ...]:
        return tuple(each for each in self.stages if each.waits)

    @property
    def can_cancel(self) -> bool:
        return self.run.status.value in ("queued", "running")


def shown(run: Run, now: datetime) -> ShownRun:
    view = look(run)
    lights = stage_lights(run)
    times = timeline(run, now)
    of_attempt = {(row.task, row.number, row.rollback): row for row in times.rows}
    notes = {each.name: (each.note, each.seconds) for each in view.stages}
    stages = tuple(
        ShownStage(
            name=name,
            planned=run.planned(name),
            stage=stage,
            light=lights[name],
            note=notes[name][0],
            seconds=notes[name][1],
            attempts=tuple(_attempts(stage, of_attempt)),
            unfold=lights[name] in BAD | MOVING or stage.rollback is not None,
        )
        for name, stage in run.stages.items()
    )
    return ShownRun(run, view, stages, times, now)


def _attempts(stage: Stage, times: dict[tuple[str, int, bool], AttemptTime]) -> Iterator[ShownAttempt]:
    tasks = sorted(stage.tasks.values(), key=_well)
    for task in tasks:
        yield from _of_task(task, times, rollback=False)
    for task in stage.rollback.tasks.values() if stage.rollback else ():
        yield from _of_task(task, times, rollback=True)


def _well(task: Task) -> bool:
    return task.outcome in (Outcome.SUCCESS, Outcome.SKIPPED)


def _of_task(
    task: Task, times: dict[tuple[str, int, bool], AttemptTime], *, rollback: bool
) -> Iterator[ShownAttempt]:
    for attempt in reversed(task.attempts):
        yield ShownAttempt(
            task=task.id,
            number=attempt.number,
            light=attempt_light(attempt.result.outcome if attempt.result else None),
            newest=attempt is task.attempts[-1],
            worker=attempt.worker,
            sandbox=_sandbox(attempt),
            by=attempt.by,
            cancel_reason=attempt.cancel_reason,
            started_at=attempt.started_at,
            finished_at=attempt.finished_at,
            times=times.get((task.id, attempt.number, rollback)),
            result=attempt.result or Result(outcome=Outcome.SKIPPED),
            rollback=rollback,
        )


def _sandbox(attempt: Attempt) -> str:
    return (attempt.result.sandbox if attempt.result else "") or attempt.sandbox
