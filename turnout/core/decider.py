"""`decide`: what follows from a message, given a run as it is. Pure: no clock, no I/O, no randomness.

A decision is taken in two movements. First the message itself is answered (an attempt finished, a person cancelled).
Then `_advance` asks, until nothing changes any more, what the run as it now stands calls for: stages that may start,
attempts that must be retried or stopped, stages and finally the run that have ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal, assert_never

from pydantic import Field

from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.environments import busy, in_the_way
from turnout.core.ids import attempt_id
from turnout.core.model import Outcome, Value
from turnout.core.plan import ConfigProblem, Plan
from turnout.core.policy import (
    may_approve,
    outcome_of_run,
    outcome_of_stage,
    retry_after,
    time_to_end,
    worst_of,
)
from turnout.core.proposal import Proposal
from turnout.core.result import Result
from turnout.core.run import Run, RunStatus, Stage, StageStatus, Task, TaskStatus, evolve


class StartRun(Value):
    """Create the run; made by the orchestration from a `RunRequested` or a `RerunRun` and what they refer to."""

    run: str
    trigger: str
    delivery: str = ""
    project: str
    change: Change
    plan: Plan | None
    problems: tuple[ConfigProblem, ...] = ()
    reason: str = ""
    requested_by: str = ""
    rerun_of: str = ""
    rerun_mode: str = ""
    carried: dict[str, e.Carried] = Field(default_factory=dict)
    held_by: tuple[str, ...] = ()
    timing: e.Timing = e.Timing()
    proposal: Proposal | None = None


class Tick(Value):
    """Time has passed. ``leases``: attempt id to the end of its lease, for the attempts that have one.

    ``deaf``: what agents say may not have been heard; their deadlines wait, for `DEAF_AT_MOST` leases.
    """

    leases: dict[str, datetime] = Field(default_factory=dict)
    deaf: bool = False


DEAF_AT_MOST = 10
_FAILED = (Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT)


class Forged(Value):
    """A message that speaks for an attempt without its token."""

    message: str
    attempt: str


class JobEnded(Value):
    """The runtime says that the attempt's job is gone, and its result has had time to be heard. ``reason``: why."""

    attempt: str
    reason: str


Decidable = (
    StartRun
    | Tick
    | JobEnded
    | Forged
    | m.CancelRun
    | m.SupersedeRun
    | m.ReleaseRun
    | m.EnvironmentFree
    | m.Approve
    | m.Reject
    | m.TaskStarted
    | m.TaskFinished
)


NOBODY: Mapping[str, str] = MappingProxyType({})


def decide(
    run: Run | None, message: Decidable, now: datetime, taken: Mapping[str, str] = NOBODY
) -> tuple[e.Event, ...]:
    """The events that ``message`` brings about; empty when it changes nothing that is worth a record.

    ``taken``: environments to the runs that hold them, or whose turn it is, other than this one
    (`turnout.core.environments`).
    """
    if run is None:
        return _create(message, now, taken) if isinstance(message, StartRun) else ()
    decision = _Decision(run, now, taken)
    _answer(decision, message)
    _advance(decision)
    return tuple(decision.events)


def due_at(run: Run) -> datetime | None:
    """When the run must be looked at again even if no message comes; None: never. Leases are kept apart."""
    if run.finished:
        return None
    times: list[datetime | None] = []
    room = _has_room(run)  # where there is none, the end of another attempt is what a retry waits for
    for stage, task in run.tasks():
        times.append(stage.expires_at if stage.status is StageStatus.WAITING else None)
        last = task.current
        if task.status is TaskStatus.RETRYING:
            times.append(task.due_at if room or task.id not in stage.tasks else None)
        elif task.active and last is not None:
            times.append(last.give_up_at)
            times.append(last.launch_deadline if task.status is TaskStatus.LAUNCHED else last.deadline)
    return min((time for time in times if time is not None), default=None)


class _Decision:
    """The events decided so far, and the run as they leave it."""

    def __init__(self, run: Run, now: datetime, taken: Mapping[str, str]) -> None:
        self.run = run
        self.now = now
        self.taken = taken
        self.events: list[e.Event] = []

    def emit(self, event: e.Event) -> None:
        self.run = evolve(self.run, event)
        self.events.append(event)

    def after(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def ignore(self, message: str, reason: str, *, attempt: str = "", by: str = "", stage: str = "") -> None:
        self.emit(
            e.MessageIgnored(at=self.now, message=message, attempt=attempt, by=by, stage=stage, reason=reason)
        )


def _create(start: StartRun, now: datetime, taken: Mapping[str, str]) -> tuple[e.Event, ...]:
    created = e.RunCreated(at=now, **{name: getattr(start, name) for name in StartRun.model_fields})
    decision = _Decision(evolve(None, created), now, taken)
    decision.events.append(created)
    if start.plan is None:
        decision.emit(e.RunFinished(at=now, outcome=Outcome.FAILURE, reason=start.reason))
    _advance(decision)
    return tuple(decision.events)


# --- the message itself -------------------------------------------------------------------------


def _answer(d: _Decision, message: Decidable) -> None:
    match message:
        case StartRun():
            d.ignore("turnout.run.requested", "the run exists already")
        case Tick():
            _tick(d, message)
        case JobEnded():
            _job_ended(d, message)
        case Forged():
            d.ignore(message.message, "its token is not the attempt's", attempt=message.attempt)
        case m.CancelRun():
            _cancel(d, message.type, message.by, message.reason, "")
        case m.SupersedeRun():
            _cancel(d, message.type, "", f"superseded by run {message.newer}", message.newer)
        case m.ReleaseRun():
            if d.run.status is RunStatus.QUEUED:
                d.emit(e.RunReleased(at=d.now, reason=f"run {message.after} has ended"))
        case m.EnvironmentFree():
            pass  # what the run calls for now is all there is to it
        case m.Approve():
            _approve(d, message)
        case m.Reject():
            _reject(d, message)
        case m.TaskStarted():
            _started(d, message)
        case m.TaskFinished():
            _finished(d, message)
        case _:
            assert_never(message)


def _cancel(d: _Decision, kind: str, by: str, reason: str, newer: str) -> None:
    if d.run.status in (RunStatus.FINISHED, RunStatus.CANCELLING):
        d.ignore(kind, f"the run is {d.run.status.value} already", by=by)
        return
    d.emit(e.CancelRequested(at=d.now, by=by, reason=reason, superseded_by=newer))


def _approve(d: _Decision, message: m.Approve) -> None:
    stage = _waiting_stage(d, message)
    if stage is None:
        return
    wanted = d.run.planned(stage.name).approval
    assert wanted is not None
    if any(given.by == message.by for given in stage.approvals):
        said = f"{message.by} has approved {stage.name} already"
        d.ignore(message.type, said, by=message.by, stage=stage.name)
        return
    complete = len(stage.approvals) + 1 >= wanted.required
    d.emit(
        e.StageApproved(at=d.now, stage=stage.name, by=message.by, comment=message.comment, complete=complete)
    )


def _reject(d: _Decision, message: m.Reject) -> None:
    stage = _waiting_stage(d, message)
    if stage is None:
        return
    d.emit(e.StageRejected(at=d.now, stage=stage.name, by=message.by, comment=message.comment))
    d.emit(
        e.RunHalted(
            at=d.now,
            stage=stage.name,
            outcome=Outcome.CANCELLED,
            reason=f"{stage.name} was rejected by {message.by}",
        )
    )


def _waiting_stage(d: _Decision, message: m.Approve | m.Reject) -> Stage | None:
    stage = d.run.stages.get(message.stage)
    if stage is None:
        d.ignore(message.type, f"the run has no stage {message.stage!r}", by=message.by)
        return None
    if stage.status is not StageStatus.WAITING or d.run.status is not RunStatus.RUNNING:
        said = f"{stage.name} does not wait for approval"
        d.ignore(message.type, said, by=message.by, stage=stage.name)
        return None
    approval = d.run.planned(stage.name).approval
    if approval is not None and not may_approve(approval.by, message.by, message.teams):
        said = f"{message.by} may not decide on {stage.name}: {', '.join(approval.by)} may"
        d.ignore(message.type, said, by=message.by, stage=stage.name)
        return None
    return stage


def _current(d: _Decision, message: m.TaskStarted | m.TaskFinished) -> Task | None:
    """The task whose current attempt the message speaks for; otherwise the message is recorded as ignored."""
    found = d.run.attempt(message.attempt)
    if found is None:
        reason = "the run has no such attempt"
    else:
        _, task, attempt = found
        if task.current is not None and task.current.id == attempt.id and task.active:
            return task
        ended = attempt.result.outcome.value if attempt.result else "over"
        reason = f"attempt {attempt.number} of {task.id} has ended already ({ended})"
    d.ignore(message.type, reason, attempt=message.attempt, by=message.worker)
    return None


def _started(d: _Decision, message: m.TaskStarted) -> None:
    task = _current(d, message)
    if task is None:
        return
    if task.status is TaskStatus.STARTED:
        d.ignore(message.type, "it has started already", attempt=message.attempt, by=message.worker)
        return
    _start_attempt(d, task, message.attempt, message.worker, message.sandbox)


def _start_attempt(d: _Decision, task: Task, attempt: str, worker: str, sandbox: str) -> None:
    stage = d.run.stage_of(task.id)
    assert stage is not None
    planned = d.run.planned(stage)
    limit = planned.timeout + time_to_end(planned.agent, d.run.timing.timeout_grace)
    d.emit(
        e.AttemptStarted(
            at=d.now,
            task=task.id,
            attempt=attempt,
            worker=worker,
            sandbox=sandbox,
            deadline=d.after(limit),
        )
    )


def _finished(d: _Decision, message: m.TaskFinished) -> None:
    task = _current(d, message)
    if task is None:
        return
    if task.status is TaskStatus.LAUNCHED and message.result.outcome is not Outcome.CANCELLED:
        _start_attempt(d, task, message.attempt, message.worker, message.result.sandbox)
    _end_attempt(d, task.id, message.attempt, "agent", message.result)


def _end_attempt(
    d: _Decision,
    task: str,
    attempt: str,
    by: e.EndedBy,
    result: Result,
    lease_until: datetime | None = None,
) -> None:
    d.emit(
        e.AttemptFinished(at=d.now, task=task, attempt=attempt, by=by, result=result, lease_until=lease_until)
    )


def _tick(d: _Decision, tick: Tick) -> None:
    waits = timedelta(seconds=DEAF_AT_MOST * d.run.timing.lease) if tick.deaf else timedelta()
    for stage, task in tuple(d.run.tasks()):
        if task.active:
            _expire_attempt(d, task, tick.leases, d.now - waits)
        elif stage.status is StageStatus.WAITING and stage.expires_at and stage.expires_at <= d.now:
            _expire_approval(d, stage.name)


def _expire_approval(d: _Decision, stage: str) -> None:
    if d.run.stages[stage].status is not StageStatus.WAITING:
        return
    d.emit(e.StageRejected(at=d.now, stage=stage, by="", expired=True))
    reason = f"nobody approved {stage} in time"
    d.emit(e.RunHalted(at=d.now, stage=stage, outcome=Outcome.CANCELLED, reason=reason))


def _expire_attempt(d: _Decision, task: Task, leases: Mapping[str, datetime], heard: datetime) -> None:
    """``heard``: until then it had time to be heard."""
    last = task.current
    assert last is not None
    lease = leases.get(last.id)
    if last.give_up_at is not None and last.give_up_at <= d.now:
        reason = "it was told to stop and did not answer"
        result = Result(outcome=Outcome.CANCELLED, summary="cancelled", reason=reason)
        _end_attempt(d, task.id, last.id, "cancel", result)
    elif task.status is TaskStatus.LAUNCHED:
        if last.launch_deadline <= heard:
            reason = "no agent has started it in time; is an agent for it running?"
            _end_attempt(d, task.id, last.id, "launch", _lost(reason))
    elif last.deadline is not None and last.deadline <= heard:
        reason = "it ran past its timeout and its agent did not end it"
        result = Result(outcome=Outcome.TIMED_OUT, summary="timed out", reason=reason)
        _end_attempt(d, task.id, last.id, "timeout", result)
    elif lease is not None and lease <= heard:
        reason = f"{last.worker or 'its agent'} has fallen silent"
        _end_attempt(d, task.id, last.id, "lease", _lost(reason), lease_until=lease)


def _job_ended(d: _Decision, ended: JobEnded) -> None:
    """Nothing where the attempt has come to its end, or is not the current one: that is no news."""
    found = d.run.attempt(ended.attempt)
    if found is None or not found[1].active or found[1].current != found[2]:
        return
    _, task, attempt = found
    if attempt.give_up_at is not None:
        reason = "it was told to stop, and its job has ended"
        result = Result(outcome=Outcome.CANCELLED, summary="cancelled", reason=reason)
        _end_attempt(d, task.id, attempt.id, "cancel", result)
    else:
        _end_attempt(d, task.id, attempt.id, "runtime", _lost(ended.reason))


def _lost(reason: str) -> Result:
    return Result(outcome=Outcome.ERROR, summary="lost", reason=reason, lost=True)


# --- what the run calls for ---------------------------------------------------------------------


def _advance(d: _Decision) -> None:
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


def _settle_tasks(d: _Decision, name: str) -> None:
    for task_id in tuple(d.run.stages[name].tasks):
        task = d.run.stages[name].tasks[task_id]
        if task.status is TaskStatus.SETTLING:
            _settle(d, name, task, stopping=_stage_stops(d, name))
        elif _may_launch(d, name, task) and not _stage_stops(d, name):
            _launch(d, name, task)


def _may_launch(d: _Decision, name: str, task: Task) -> bool:
    """A cell of a running stage, or a retry that is due, where the run has room for one more attempt."""
    if task.status is TaskStatus.PENDING:
        wanted = d.run.stages[name].status is StageStatus.RUNNING
    else:
        wanted = task.status is TaskStatus.RETRYING and task.due_at is not None and task.due_at <= d.now
    return wanted and _has_room(d.run)


def _has_room(run: Run) -> bool:
    limit = run.plan.parallel if run.plan else 0
    return limit == 0 or sum(task.active for _, task in run.tasks()) < limit


def _settle(d: _Decision, name: str, task: Task, *, stopping: str) -> None:
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


def _stage_stops(d: _Decision, name: str) -> str:
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


def _advance_stage(d: _Decision, name: str) -> None:
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
    d: _Decision, stage: str, because: Literal["when", "needs", "halted", "cancelled"], reason: str
) -> None:
    d.emit(e.StageSkipped(at=d.now, stage=stage, because=because, reason=reason))


def _open_stage(d: _Decision, stage: Stage) -> None:
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


def _start_stage(d: _Decision, stage: Stage) -> None:
    """Unless somebody else is at its environment."""
    found = in_the_way(d.run, stage.name, d.taken)
    if found is None:
        d.emit(e.StageStarted(at=d.now, stage=stage.name))
        _settle_tasks(d, stage.name)
    elif found != (stage.awaits, stage.held_by):
        environment, holder = found
        d.emit(e.EnvironmentAwaited(at=d.now, stage=stage.name, environment=environment, held_by=holder))


def _launch(d: _Decision, stage: str, task: Task) -> None:
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


def _close_stage(d: _Decision, name: str) -> None:
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


def _begin_rollback(d: _Decision, because: str, reason: str) -> None:
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


def _advance_rollback(d: _Decision, name: str) -> None:
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


def _stop_tasks(d: _Decision, name: str, reason: str) -> None:
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
