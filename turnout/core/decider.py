"""`decide`: what follows from a message, given a run as it is. Pure: no clock, no I/O, no randomness.

A decision is taken in two movements. First the message itself is answered (an attempt finished, a person cancelled).
Then `turnout.core.advance` asks, until nothing changes any more, what the run as it now stands calls for: stages that
may start, attempts that must be retried or stopped, stages and finally the run that have ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import assert_never

from pydantic import Field

from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.advance import advance, has_room
from turnout.core.change import Change
from turnout.core.decision import Decision
from turnout.core.evolve import evolve
from turnout.core.model import Outcome, Value
from turnout.core.plan import ConfigProblem, Plan
from turnout.core.policy import may_approve, time_to_end
from turnout.core.proposal import Proposal
from turnout.core.result import Result
from turnout.core.run import Run, RunStatus, Stage, StageStatus, Task, TaskStatus


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
    run: Run | None,
    message: Decidable,
    now: datetime,
    taken: Mapping[str, str] = NOBODY,
    newer: Mapping[str, str] = NOBODY,
) -> tuple[e.Event, ...]:
    """The events that ``message`` brings about; empty when it changes nothing that is worth a record. See `decided`."""
    return decided(run, message, now, taken, newer)[0]


def decided(
    run: Run | None,
    message: Decidable,
    now: datetime,
    taken: Mapping[str, str] = NOBODY,
    newer: Mapping[str, str] = NOBODY,
) -> tuple[tuple[e.Event, ...], Run | None]:
    """The events that ``message`` brings about, and the run as they leave it.

    ``taken``: environments to the runs that hold them, or whose turn it is, other than this one
    (`turnout.core.environments`). ``newer``: environments to the runs that have deployed there what is newer than this
    run's change (`turnout.core.overtaking`).
    """
    if run is None:
        return _create(message, now, taken, newer) if isinstance(message, StartRun) else ((), None)
    decision = Decision(run, now, taken, newer)
    _answer(decision, message)
    advance(decision)
    return tuple(decision.events), decision.run


def due_at(run: Run) -> datetime | None:
    """When the run must be looked at again even if no message comes; None: never. Leases are kept apart."""
    if run.finished:
        return None
    times: list[datetime | None] = []
    room = has_room(run)  # where there is none, the end of another attempt is what a retry waits for
    for stage, task in run.tasks():
        times.append(stage.expires_at if stage.status is StageStatus.WAITING else None)
        last = task.current
        if task.status is TaskStatus.RETRYING:
            times.append(task.due_at if room or task.id not in stage.tasks else None)
        elif task.active and last is not None:
            times.append(last.give_up_at)
            times.append(last.launch_deadline if task.status is TaskStatus.LAUNCHED else last.deadline)
    return min((time for time in times if time is not None), default=None)


def _create(
    start: StartRun, now: datetime, taken: Mapping[str, str], newer: Mapping[str, str]
) -> tuple[tuple[e.Event, ...], Run]:
    created = e.RunCreated(at=now, **{name: getattr(start, name) for name in StartRun.model_fields})
    decision = Decision(evolve(None, created), now, taken, newer)
    decision.events.append(created)
    if start.plan is None:
        decision.emit(e.RunFinished(at=now, outcome=Outcome.FAILURE, reason=start.reason))
    advance(decision)
    return tuple(decision.events), decision.run


def _answer(d: Decision, message: Decidable) -> None:
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


def _cancel(d: Decision, kind: str, by: str, reason: str, newer: str) -> None:
    if d.run.status in (RunStatus.FINISHED, RunStatus.CANCELLING):
        d.ignore(kind, f"the run is {d.run.status.value} already", by=by)
        return
    d.emit(e.CancelRequested(at=d.now, by=by, reason=reason, superseded_by=newer))


def _approve(d: Decision, message: m.Approve) -> None:
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


def _reject(d: Decision, message: m.Reject) -> None:
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


def _waiting_stage(d: Decision, message: m.Approve | m.Reject) -> Stage | None:
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


def _current(d: Decision, message: m.TaskStarted | m.TaskFinished) -> Task | None:
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


def _started(d: Decision, message: m.TaskStarted) -> None:
    task = _current(d, message)
    if task is None:
        return
    if task.status is TaskStatus.STARTED:
        d.ignore(message.type, "it has started already", attempt=message.attempt, by=message.worker)
        return
    _start_attempt(d, task, message.attempt, message.worker, message.sandbox)


def _start_attempt(d: Decision, task: Task, attempt: str, worker: str, sandbox: str) -> None:
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


def _finished(d: Decision, message: m.TaskFinished) -> None:
    task = _current(d, message)
    if task is None:
        return
    if task.status is TaskStatus.LAUNCHED and message.result.outcome is not Outcome.CANCELLED:
        _start_attempt(d, task, message.attempt, message.worker, message.result.sandbox)
    _end_attempt(d, task.id, message.attempt, "agent", message.result)


def _end_attempt(
    d: Decision,
    task: str,
    attempt: str,
    by: e.EndedBy,
    result: Result,
    lease_until: datetime | None = None,
) -> None:
    d.emit(
        e.AttemptFinished(at=d.now, task=task, attempt=attempt, by=by, result=result, lease_until=lease_until)
    )


def _tick(d: Decision, tick: Tick) -> None:
    waits = timedelta(seconds=DEAF_AT_MOST * d.run.timing.lease) if tick.deaf else timedelta()
    for stage, task in tuple(d.run.tasks()):
        if task.active:
            _expire_attempt(d, task, tick.leases, d.now - waits)
        elif stage.status is StageStatus.WAITING and stage.expires_at and stage.expires_at <= d.now:
            _expire_approval(d, stage.name)


def _expire_approval(d: Decision, stage: str) -> None:
    if d.run.stages[stage].status is not StageStatus.WAITING:
        return
    d.emit(e.StageRejected(at=d.now, stage=stage, by="", expired=True))
    reason = f"nobody approved {stage} in time"
    d.emit(e.RunHalted(at=d.now, stage=stage, outcome=Outcome.CANCELLED, reason=reason))


def _expire_attempt(d: Decision, task: Task, leases: Mapping[str, datetime], heard: datetime) -> None:
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


def _job_ended(d: Decision, ended: JobEnded) -> None:
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
