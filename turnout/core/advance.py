"""`advance`: what a run as it now stands calls for. The second movement of `turnout.core.decider`."""

from __future__ import annotations

from typing import Literal, assert_never

from turnout.core import events as e
from turnout.core.decision import Decision
from turnout.core.environments import busy, in_the_way, to_deploy
from turnout.core.ids import attempt_id
from turnout.core.model import Outcome
from turnout.core.policy import outcome_of_run, outcome_of_stage, retry_after, time_to_end, worst_of
from turnout.core.run import Run, RunStatus, Stage, StageStatus, Task, TaskStatus

_FAILED = (Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT)


def advance(d: Decision) -> None:
    before = -1
    while len(d.events) != before and d.run.status in (RunStatus.RUNNING, RunStatus.CANCELLING):
        before = len(d.events)
        for name in tuple(d.run.stages):
            _settle_tasks(d, name)
            _advance_stage(d, name)
            _advance_rollback(d, name)
        if all(_over(stage) for stage in d.run.stages.values()):
            outcome, reason = outcome_of_run(d.run)
            d.emit(e.RunFinished(at=d.now, outcome=outcome, reason=reason))


def _over(stage: Stage) -> bool:
    undone = stage.rollback is None or stage.rollback.outcome is not None
    return stage.status is StageStatus.FINISHED and undone


def _stopping(run: Run) -> str:
    """Why nothing new may start, empty: it may."""
    if run.status is RunStatus.CANCELLING:
        return run.reason or (f"cancelled by {run.cancelled_by}" if run.cancelled_by else "cancelled")
    return run.reason if run.halted_by else ""


def _settle_tasks(d: Decision, name: str) -> None:
    for task_id in tuple(d.run.stages[name].tasks):
        task = d.run.stages[name].tasks[task_id]
        if task.status is TaskStatus.SETTLING:
            _settle(d, name, task, stopping=_stage_stops(d, name))
        elif _may_launch(d, name, task) and not _stage_stops(d, name):
            _launch(d, name, task)


def _may_launch(d: Decision, name: str, task: Task) -> bool:
    """A cell of a running stage, or a retry that is due, where the run has room for one more attempt."""
    if task.status is TaskStatus.PENDING:
        wanted = d.run.stages[name].status is StageStatus.RUNNING
    else:
        wanted = task.status is TaskStatus.RETRYING and task.due_at is not None and task.due_at <= d.now
    return wanted and has_room(d.run)


def has_room(run: Run) -> bool:
    limit = run.plan.parallel if run.plan else 0
    return limit == 0 or sum(task.active for _, task in run.tasks()) < limit


def _settle(d: Decision, name: str, task: Task, *, stopping: str) -> None:
    """``stopping``: why it is not tried again, empty: nothing keeps it from that."""
    last = task.current
    assert last is not None
    assert last.result is not None
    result = last.result
    retry = None if stopping or last.cancel_reason else retry_after(d.run, d.run.planned(name), task, result)
    if retry is None:
        d.emit(
            e.TaskFinished(
                at=d.now, task=task.id, outcome=result.outcome, reason=result.reason or result.summary
            )
        )
        return
    d.emit(
        e.RetryScheduled(
            at=d.now,
            task=task.id,
            number=last.number + 1,
            budget=retry.budget,
            due_at=d.after(retry.delay),
            reason=result.reason or result.summary or result.outcome.value,
        )
    )


def _stage_stops(d: Decision, name: str) -> str:
    """Why the stage's unfinished tasks must end, empty: they go on."""
    stopping = _stopping(d.run)
    if stopping:
        return stopping
    stage, planned = d.run.stages[name], d.run.planned(name)
    if not planned.fail_fast:
        return ""
    for task in stage.tasks.values():
        if task.outcome not in (None, Outcome.SUCCESS):
            return f"{task.id} has failed"
    return ""


def _advance_stage(d: Decision, name: str) -> None:
    stage = d.run.stages[name]
    match stage.status:
        case StageStatus.PENDING | StageStatus.APPROVED:
            _open_stage(d, stage)
        case StageStatus.WAITING:
            stopping = _stopping(d.run)
            if stopping:
                _skip(
                    d, name, "cancelled" if d.run.cancelled_by or d.run.superseded_by else "halted", stopping
                )
        case StageStatus.RUNNING:
            _close_stage(d, name)
        case StageStatus.FINISHED:
            pass
        case _:
            assert_never(stage.status)


def _skip(
    d: Decision,
    stage: str,
    because: Literal["when", "needs", "halted", "cancelled", "overtaken"],
    reason: str,
) -> None:
    d.emit(e.StageSkipped(at=d.now, stage=stage, because=because, reason=reason))


def _open_stage(d: Decision, stage: Stage) -> None:
    planned = d.run.planned(stage.name)
    stopping = _stopping(d.run)
    if stopping:
        cancelled = d.run.status is RunStatus.CANCELLING
        _skip(d, stage.name, "cancelled" if cancelled else "halted", stopping)
        return
    needs = [d.run.stages[need] for need in planned.needs]
    if any(need.status is not StageStatus.FINISHED for need in needs):
        return
    blocked = next((need for need in needs if need.blocks), None)
    if blocked is not None:
        ended = blocked.outcome.value if blocked.outcome else "ended"
        _skip(d, stage.name, "needs", f"it needs {blocked.name}, which ended as {ended}")
    elif planned.skip:
        _skip(d, stage.name, "when", planned.skip)
    elif planned.approval is not None and stage.status is StageStatus.PENDING:
        expires = d.after(planned.approval.expires)
        d.emit(e.ApprovalRequested(at=d.now, stage=stage.name, expires_at=expires))
    else:
        _start_stage(d, stage)


def _start_stage(d: Decision, stage: Stage) -> None:
    """Unless somebody else is at its environment, or has brought something newer there."""
    environment = to_deploy(d.run, stage.name)
    if environment in d.newer:
        what = d.run.change.branch or d.run.change.ref
        _skip(
            d,
            stage.name,
            "overtaken",
            f"run {d.newer[environment]} has deployed a newer {what} to {environment}",
        )
        return
    found = in_the_way(d.run, stage.name, d.taken)
    if found is None:
        d.emit(e.StageStarted(at=d.now, stage=stage.name))
        _settle_tasks(d, stage.name)
    elif found != (stage.awaits, stage.held_by):
        environment, holder = found
        d.emit(e.EnvironmentAwaited(at=d.now, stage=stage.name, environment=environment, held_by=holder))


def _launch(d: Decision, stage: str, task: Task) -> None:
    number = len(task.attempts) + 1
    d.emit(
        e.AttemptLaunched(
            at=d.now,
            stage=stage,
            task=task.id,
            attempt=attempt_id(d.run.id, task.id, number),
            number=number,
            launch_deadline=d.after(d.run.timing.launch),
        )
    )


def _close_stage(d: Decision, name: str) -> None:
    stopping = _stage_stops(d, name)
    if stopping:
        _stop_tasks(d, name, stopping)
    stage = d.run.stages[name]
    if any(task.status is not TaskStatus.FINISHED for task in stage.tasks.values()):
        return
    planned = d.run.planned(name)
    outcome, reason = outcome_of_stage(stage)
    allowed = planned.allow_failure and outcome is not Outcome.SUCCESS
    d.emit(e.StageFinished(at=d.now, stage=name, outcome=outcome, allowed=allowed, reason=reason))
    failed = outcome is not Outcome.SUCCESS and not allowed
    if failed and not _stopping(d.run) and d.run.plan is not None and d.run.plan.fail_fast:
        why = f"{name} ended as {outcome.value}" + (f": {reason}" if reason else "")
        d.emit(e.RunHalted(at=d.now, stage=name, outcome=outcome, reason=why))
    if outcome in _FAILED and not allowed:
        _begin_rollback(d, name, f"{name} ended as {outcome.value}")


def _begin_rollback(d: Decision, because: str, reason: str) -> None:
    """What the stage wants undone when it has failed: only a deploy that this run has done, and once."""
    planned = d.run.planned(because)
    deployed = d.run.stages.get(planned.rollback)
    if deployed is None or deployed.name == because:  # its agent undoes its own deployment
        return
    if (
        deployed.started_at is None
        or deployed.outcome is not Outcome.SUCCESS
        or deployed.rollback is not None
    ):
        return
    d.emit(e.RollbackStarted(at=d.now, stage=deployed.name, because=because, reason=reason))


def _advance_rollback(d: Decision, name: str) -> None:
    """It goes on whatever becomes of the run, also when that is cancelled: half a rollback helps nobody."""
    rollback = d.run.stages[name].rollback
    if rollback is None or rollback.outcome is not None:
        return
    for id in rollback.tasks:
        task = d.run.stages[name].all_tasks[id]
        due = task.status is TaskStatus.PENDING or (task.due_at is not None and task.due_at <= d.now)
        if task.status is TaskStatus.SETTLING:
            _settle(d, name, task, stopping="")
        elif (
            task.status in (TaskStatus.PENDING, TaskStatus.RETRYING)
            and due
            and not busy(d.run, d.run.planned(name).environment, but=name)
        ):
            _launch(d, name, task)
    undone = d.run.stages[name].rollback
    if undone is not None and all(task.status is TaskStatus.FINISHED for task in undone.tasks.values()):
        outcome, reason = worst_of(undone.tasks.values())
        d.emit(e.RollbackFinished(at=d.now, stage=name, outcome=outcome, reason=reason))


def _stop_tasks(d: Decision, name: str, reason: str) -> None:
    for task in tuple(d.run.stages[name].tasks.values()):
        last = task.current
        if task.status in (TaskStatus.PENDING, TaskStatus.RETRYING):
            d.emit(e.TaskFinished(at=d.now, task=task.id, outcome=Outcome.CANCELLED, reason=reason))
        elif task.active and last is not None and last.give_up_at is None:
            d.emit(
                e.CancelOrdered(
                    at=d.now,
                    task=task.id,
                    attempt=last.id,
                    reason=reason,
                    give_up_at=d.after(time_to_end(d.run.planned(name).agent, d.run.timing.cancel_grace)),
                )
            )
