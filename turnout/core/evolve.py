"""`evolve`: the state of a run after one more event."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar, assert_never

from turnout.core import events as e
from turnout.core.errors import IllegalTransition
from turnout.core.model import Outcome, Value
from turnout.core.run import (
    RUN_TRANSITIONS,
    STAGE_TRANSITIONS,
    TASK_TRANSITIONS,
    ApprovalGiven,
    Attempt,
    Rollback,
    Run,
    RunStatus,
    Stage,
    StageStatus,
    Task,
    rollback_task,
)

_K = TypeVar("_K", bound=StrEnum)


def replay(history: Iterable[e.Event], run: Run | None = None) -> Run | None:
    """The state after these events have followed ``run``; None for no events at all. Raises: IllegalTransition."""
    for event in history:
        run = evolve(run, event)
    return run


def evolve(run: Run | None, event: e.Event) -> Run:
    """The state after one more event. Raises: IllegalTransition when the table does not allow it."""
    if run is None or isinstance(event, e.RunCreated):
        if run is not None or not isinstance(event, e.RunCreated):
            raise IllegalTransition(f"{event.kind} with {'a' if run else 'no'} run before it")
        return _created(event)
    return _apply(run, event).with_(version=run.version + 1)


def _apply(run: Run, event: e.Event) -> Run:
    match event:
        case e.RunReleased():
            return run.with_(status=_next_run(run, event))
        case e.CancelRequested():
            return run.with_(
                status=_next_run(run, event),
                cancelled_by=event.by,
                superseded_by=event.superseded_by,
                reason=event.reason,
            )
        case e.RunHalted():
            return run.with_(status=_next_run(run, event), halted_by=event.stage, reason=event.reason)
        case e.RunFinished():
            return run.with_(
                status=_next_run(run, event),
                outcome=event.outcome,
                reason=event.reason or run.reason,
                finished_at=event.at,
            )
        case e.MessageIgnored():
            return run
        case (
            e.StageSkipped()
            | e.ApprovalRequested()
            | e.StageApproved()
            | e.StageRejected()
            | e.EnvironmentAwaited()
            | e.StageStarted()
            | e.StageFinished()
            | e.RollbackStarted()
            | e.RollbackFinished()
        ):
            return _on_stage(run, event.stage, lambda stage: _evolve_stage(stage, event))
        case (
            e.AttemptLaunched()
            | e.AttemptStarted()
            | e.CancelOrdered()
            | e.AttemptFinished()
            | e.RetryScheduled()
            | e.TaskFinished()
        ):
            return _on_task(run, event.task, lambda task: _evolve_task(task, event))
        case e.RunCreated():
            raise IllegalTransition("run_created with a run before it")
        case _:
            assert_never(event)


def _created(event: e.RunCreated) -> Run:
    stages: dict[str, Stage] = {}
    for planned in event.plan.stages if event.plan else ():
        carried = event.carried.get(planned.name)
        tasks = {task.id: Task(id=task.id) for task in planned.tasks}
        stages[planned.name] = (
            Stage(name=planned.name, tasks=tasks)
            if carried is None
            else Stage(
                name=planned.name,
                status=StageStatus.FINISHED,
                outcome=carried.outcome,
                outputs=carried.outputs,
                blocks=carried.blocked,
                allowed=planned.allow_failure,
                carried=True,
                reason=f"taken over from run {event.rerun_of}",
            )
        )
    return Run(
        id=event.run,
        version=1,
        status=RunStatus.QUEUED if event.held_by else RunStatus.RUNNING,
        project=event.project,
        change=event.change,
        trigger=event.trigger,
        delivery=event.delivery,
        plan=event.plan,
        problems=event.problems,
        requested_by=event.requested_by,
        rerun_of=event.rerun_of,
        rerun_mode=event.rerun_mode,
        held_by=event.held_by,
        timing=event.timing,
        proposal=event.proposal,
        created_at=event.at,
        stages=stages,
        reason=event.reason,
    )


_StageEvent = (
    e.StageSkipped
    | e.ApprovalRequested
    | e.StageApproved
    | e.StageRejected
    | e.EnvironmentAwaited
    | e.StageStarted
    | e.StageFinished
    | e.RollbackStarted
    | e.RollbackFinished
)
_TaskEvent = (
    e.AttemptLaunched
    | e.AttemptStarted
    | e.CancelOrdered
    | e.AttemptFinished
    | e.RetryScheduled
    | e.TaskFinished
)


def _evolve_stage(stage: Stage, event: _StageEvent) -> Stage:
    status = _next(STAGE_TRANSITIONS, stage.status, event, f"stage {stage.name}")
    match event:
        case e.EnvironmentAwaited():
            return stage.with_(status=status, awaits=event.environment, held_by=event.held_by)
        case e.StageStarted():
            return stage.with_(status=status, started_at=event.at, awaits="", held_by="")
        case e.ApprovalRequested():
            return stage.with_(status=status, expires_at=event.expires_at)
        case e.StageApproved():
            given = ApprovalGiven(by=event.by, at=event.at, comment=event.comment)
            return stage.with_(
                status=status if event.complete else stage.status, approvals=(*stage.approvals, given)
            )
        case e.StageRejected():
            reason = "nobody approved it in time" if event.expired else f"rejected by {event.by}"
            reason = f"{reason}: {event.comment}" if event.comment else reason
            return _ended(stage, event.at, Outcome.CANCELLED, reason, blocks=True)
        case e.StageSkipped():
            return _ended(stage, event.at, Outcome.SKIPPED, event.reason, blocks=event.because != "when")
        case e.StageFinished():
            good = event.outcome is Outcome.SUCCESS or event.allowed
            return _ended(stage, event.at, event.outcome, event.reason, blocks=not good).with_(
                allowed=event.allowed, outputs=_outputs(stage)
            )
        case e.RollbackStarted():
            if stage.rollback is not None:
                raise IllegalTransition(f"stage {stage.name} was rolled back before")
            tasks = {id: Task(id=id) for id in map(rollback_task, stage.tasks)}
            undone = Rollback(because=event.because, tasks=tasks, started_at=event.at)
            return stage.with_(rollback=undone)
        case e.RollbackFinished():
            if stage.rollback is None or stage.rollback.outcome is not None:
                raise IllegalTransition(f"stage {stage.name} is not being rolled back")
            ended = stage.rollback.with_(outcome=event.outcome, reason=event.reason, finished_at=event.at)
            return stage.with_(rollback=ended)
        case _:
            assert_never(event)


def _evolve_task(task: Task, event: _TaskEvent) -> Task:
    status = _next(TASK_TRANSITIONS, task.status, event, f"task {task.id}")
    match event:
        case e.AttemptLaunched():
            if event.number != len(task.attempts) + 1:
                raise IllegalTransition(f"attempt {event.number} of {task.id} after {len(task.attempts)}")
            attempt = Attempt(
                id=event.attempt,
                number=event.number,
                launched_at=event.at,
                launch_deadline=event.launch_deadline,
            )
            return task.with_(status=status, attempts=(*task.attempts, attempt), due_at=None)
        case e.AttemptStarted():
            return _on_attempt(
                task.with_(status=status),
                event.attempt,
                started_at=event.at,
                worker=event.worker,
                sandbox=event.sandbox,
                deadline=event.deadline,
            )
        case e.CancelOrdered():
            return _on_attempt(task, event.attempt, give_up_at=event.give_up_at, cancel_reason=event.reason)
        case e.AttemptFinished():
            return _on_attempt(
                task.with_(status=status),
                event.attempt,
                finished_at=event.at,
                result=event.result,
                by=event.by,
            )
        case e.RetryScheduled():
            return task.with_(
                status=status,
                due_at=event.due_at,
                retries=task.retries + (event.budget == "pipeline"),
                lost=task.lost + (event.budget == "infrastructure"),
            )
        case e.TaskFinished():
            return task.with_(status=status, outcome=event.outcome, reason=event.reason, due_at=None)
        case _:
            assert_never(event)


def _ended(stage: Stage, at: datetime, outcome: Outcome, reason: str, *, blocks: bool) -> Stage:
    return stage.with_(
        status=StageStatus.FINISHED,
        finished_at=at,
        outcome=outcome,
        reason=reason,
        blocks=blocks,
        awaits="",
        held_by="",
    )


def _outputs(stage: Stage) -> dict[str, str]:
    """What the stage's tasks gave; a matrix cell's outputs also stand under ``<task id>.<name>``."""
    found: dict[str, str] = {}
    for task in stage.tasks.values():
        last = task.current
        if last is None or last.result is None or task.outcome is not Outcome.SUCCESS:
            continue
        found |= last.result.outputs
        if len(stage.tasks) > 1:
            found |= {f"{task.id}.{name}": value for name, value in last.result.outputs.items()}
    return found


def _next_run(run: Run, event: e.Event) -> RunStatus:
    return _next(RUN_TRANSITIONS, run.status, event, f"run {run.id}")


def _next(table: dict[_K, dict[type[Value], _K]], state: _K, event: Value, what: str) -> _K:
    after = table[state].get(type(event))
    if after is None:
        raise IllegalTransition(f"{what} is {state.value}: {type(event).__name__} can't follow")
    return after


def _on_stage(run: Run, name: str, change: Callable[[Stage], Stage]) -> Run:
    stage = run.stages.get(name)
    if stage is None:
        raise IllegalTransition(f"run {run.id} has no stage {name!r}")
    return run.with_(stages={**run.stages, name: change(stage)})


def _on_task(run: Run, task: str, change: Callable[[Task], Task]) -> Run:
    name = run.stage_of(task)
    if name is None:
        raise IllegalTransition(f"run {run.id} has no task {task!r}")
    return _on_stage(run, name, lambda stage: _changed(stage, task, change))


def _changed(stage: Stage, task: str, change: Callable[[Task], Task]) -> Stage:
    if task in stage.tasks:
        return stage.with_(tasks={**stage.tasks, task: change(stage.tasks[task])})
    assert stage.rollback is not None
    tasks = {**stage.rollback.tasks, task: change(stage.rollback.tasks[task])}
    return stage.with_(rollback=stage.rollback.with_(tasks=tasks))


def _on_attempt(task: Task, attempt: str, **changes: Any) -> Task:
    last = task.current
    if last is None or last.id != attempt:
        raise IllegalTransition(f"attempt {attempt} is not the current one of {task.id}")
    return task.with_(attempts=(*task.attempts[:-1], last.with_(**changes)))
