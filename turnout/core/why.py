"""Why one event was decided, given the run before it: the rule, what it saw, what would turn it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from turnout.core import events as e
from turnout.core.durations import format_duration
from turnout.core.flips import let_in, refused_by
from turnout.core.model import ChangeKind, Outcome
from turnout.core.plan import PlannedStage
from turnout.core.ruling import Rule, Ruling
from turnout.core.run import Attempt, Run, RunStatus, Stage, Task, TaskStatus
from turnout.core.trail import Trail

Seen = dict[str, Any]
_OUTSIDE = "turnout.run.{}"


@dataclass(frozen=True, slots=True)
class Why:
    """As `turnout.core.causes.Cause` has them."""

    rule: Rule
    values: Mapping[str, Any] = field(default_factory=dict)
    flips: tuple[str, ...] = ()
    by: int = 0
    heard: str = ""


def created(event: e.RunCreated) -> Why:
    if event.rerun_of:
        seen: Seen = {"run": event.rerun_of, "mode": event.rerun_mode, "taken over": list(event.carried)}
        return Why(Rule.RERUN, seen | {"by": event.requested_by}, heard="turnout.run.rerun")
    change = event.change
    values: Seen = {"event": change.kind.value, "ref": change.ref, "commit": change.sha}
    if event.plan is None:
        values["problems"] = [str(each) for each in event.problems]
        flips = ("with a valid pipeline file its stages would have been planned",)
        return Why(Rule.PIPELINE_FILE, values, flips, heard="turnout.run.requested")
    rulings = event.plan.rulings
    values |= seen_by(rulings)
    found: list[str] = []
    if event.held_by:
        values["waits for"] = list(event.held_by)
        found.append("with `concurrency.cancel_superseded: true` it would not have waited")
    if change.kind is ChangeKind.PUSH:
        found.append("with `[skip ci]` in the commit message it would not have been made")
    rule = rulings[0].rule if rulings else Rule.ON
    return Why(rule, values, tuple(found), heard="turnout.run.requested")


def why(event: e.Event, run: Run, trail: Trail) -> Why:
    """``run``: as it was before the event. ``trail``: of the events before it."""
    match event:
        case e.RunCreated():
            return created(event)
        case e.RunReleased():
            return Why(
                Rule.CONCURRENCY,
                {"waited for": list(run.held_by)},
                by=trail.made,
                heard="turnout.run.release",
            )
        case e.StageSkipped():
            return _skipped(event, run, trail)
        case e.ApprovalRequested() | e.EnvironmentAwaited() | e.StageStarted():
            return _opened(event, run, trail)
        case e.StageApproved() | e.StageRejected():
            return _answered(event, run, trail)
        case e.AttemptLaunched() | e.AttemptStarted():
            return _handed_out(event, run, trail)
        case e.CancelOrdered():
            return stopped_by(run, run.stage_of(event.task) or "", trail)
        case e.AttemptFinished():
            return _ended(event, run, trail)
        case e.RetryScheduled():
            return _retried(event, run, trail)
        case e.TaskFinished():
            return _task_over(event, run, trail)
        case e.StageFinished():
            return _stage_over(event, run, trail)
        case e.RollbackStarted():
            seen: Seen = {"failed": event.because, "rollback": event.stage}
            flip = f"without `rollback: {event.stage}` on {event.because} it would have been left as it is"
            return Why(Rule.ROLLBACK, seen, (flip,), trail.stage_over(event.because))
        case e.RollbackFinished():
            rollback = _stage(run, event.stage).rollback
            tasks = rollback.tasks if rollback else {}
            over = max((trail.of("task over", task) for task in tasks), default=0)
            return Why(Rule.ROLLBACK, {"tasks": _outcomes(tasks)}, by=over)
        case e.RunHalted():
            return _halted(event, trail)
        case e.CancelRequested():
            if event.superseded_by:
                flip = "with `concurrency.cancel_superseded: false` the newer run would have waited for it"
                newer = {"newer run": event.superseded_by, "group": _group(run)}
                return Why(Rule.CONCURRENCY, newer, (flip,), heard="turnout.run.supersede")
            return Why(Rule.CANCEL, {"by": event.by, "reason": event.reason}, heard="turnout.run.cancel")
        case e.MessageIgnored():
            return _ignored(event, run)
        case e.RunFinished():
            return _run_over(event, run, trail)
        case _:
            assert_never(event)


# --- stages ---------------------------------------------------------------------------------------


def _skipped(event: e.StageSkipped, run: Run, trail: Trail) -> Why:
    planned, opened = _planned(run, event.stage), _opened_by(run, event.stage, trail)
    match event.because:
        case "when":
            values = seen_by(planned.rulings) if planned and planned.rulings else {"reason": event.reason}
            rule = refused_by(planned) if planned else Rule.WHEN
            return Why(rule, values, let_in(planned, run.change) if planned else (), opened)
        case "needs":
            blocking = [name for name in (planned.needs if planned else ()) if _stage(run, name).blocks]
            return Why(Rule.NEEDS, _needs(run, planned), _had_ended_well(run, blocking, "it"), opened)
        case "halted" | "cancelled":
            return stopped_by(run, event.stage, trail, whole=True)
        case _:
            assert_never(event.because)


def _opened(
    event: e.ApprovalRequested | e.EnvironmentAwaited | e.StageStarted, run: Run, trail: Trail
) -> Why:
    stage, planned = _stage(run, event.stage), _planned(run, event.stage)
    by = _opened_by(run, event.stage, trail)
    values = _needs(run, planned)
    if planned and planned.rulings:
        values |= seen_by(planned.rulings)
    match event:
        case e.ApprovalRequested():
            approval = planned.approval if planned else None
            if approval is not None:
                values |= {"required": approval.required, "by": list(approval.by), "given": 0}
                many = "an approval" if approval.required == 1 else f"{approval.required} approvals"
                who = f" by {' or '.join(approval.by)}" if approval.by else ""
                until = f"{event.expires_at:%Y-%m-%d %H:%M} UTC"
                return Why(Rule.APPROVAL, values, (f"with {many}{who} before {until} it goes on",), by)
            return Why(Rule.APPROVAL, values, (), by)
        case e.EnvironmentAwaited():
            values |= {"environment": event.environment, "held by": event.held_by or "this run"}
            other = f"run {event.held_by} were" if event.held_by else "the other stage of this run were"
            return Why(Rule.ENVIRONMENT_FREE, values, (f"it would start if {other} done with it",), by)
        case e.StageStarted():
            if stage.awaits:
                values |= {"environment": stage.awaits, "was held by": stage.held_by or "this run"}
                heard = "turnout.run.environment" if stage.held_by else ""
                return Why(
                    Rule.ENVIRONMENT_FREE, values, by=max(by, trail.of("awaited", stage.name)), heard=heard
                )
            if stage.approvals:
                values |= {"approved by": [each.by for each in stage.approvals]}
                return Why(Rule.APPROVAL, values, by=by)
            needs = " or ".join(planned.needs) if planned else ""
            flips = (f"it would not have started if {needs} had failed",) if needs else ()
            return Why(Rule.NEEDS, values, flips, by)
        case _:
            assert_never(event)


def _opened_by(run: Run, stage: str, trail: Trail) -> int:
    """What came last of all that a stage waits for."""
    planned = _planned(run, stage)
    needs = (trail.stage_over(name) for name in (planned.needs if planned else ()))
    return max(trail.made, trail.of("approved", stage), *needs, 0)


def _answered(event: e.StageApproved | e.StageRejected, run: Run, trail: Trail) -> Why:
    stage, planned = _stage(run, event.stage), _planned(run, event.stage)
    approval = planned.approval if planned else None
    required, given = approval.required if approval else 1, len(stage.approvals)
    values: Seen = {"required": required, "by": event.by, "may": list(approval.by) if approval else []}
    asked = trail.of("approval asked", event.stage)
    if isinstance(event, e.StageApproved):
        left = required - given - 1
        more = f"{left} more approval{'s' if left > 1 else ''} would let it start"
        flips = () if event.complete else (more,)
        return Why(Rule.APPROVAL, values | {"given": given + 1}, flips, asked, "turnout.run.approve")
    values["given"] = given
    if not event.expired:
        return Why(
            Rule.APPROVAL, values, (f"had {event.by} approved, it would count",), asked, "turnout.run.reject"
        )
    values |= {
        "expired at": stage.expires_at.isoformat() if stage.expires_at else "",
        "now": event.at.isoformat(),
    }
    left = required - given
    flip = f"with {left} more approval{'s' if left > 1 else ''} in time it would have started"
    longer = "with a longer `approval.expires` it would still wait"
    return Why(Rule.APPROVAL, values, (flip, longer), asked, "time")


def _stage_over(event: e.StageFinished, run: Run, trail: Trail) -> Why:
    stage = _stage(run, event.stage)
    over = max((trail.of("task over", task) for task in stage.tasks), default=0)
    values: Seen = {"tasks": _outcomes(stage.tasks)}
    if event.outcome is Outcome.SUCCESS:
        return Why(Rule.OUTCOME, values, by=over)
    if event.allowed:
        flip = f"without `allow_failure` {event.stage} would have ended badly for what needs it"
        return Why(Rule.ALLOW_FAILURE, values | {"allow_failure": True}, (flip,), over)
    bad = [task.id for task in stage.tasks.values() if task.outcome is not Outcome.SUCCESS]
    flips = [f"had {' and '.join(bad)} ended well, it would have too"]
    if event.outcome is not Outcome.CANCELLED:
        flips.append(f"with `allow_failure: true` {event.stage} would do no harm to the run")
    return Why(Rule.OUTCOME, values | {"allow_failure": False}, tuple(flips), over)


def _halted(event: e.RunHalted, trail: Trail) -> Why:
    values: Seen = {"stage": event.stage, "outcome": event.outcome.value}
    by = trail.stage_over(event.stage)
    if trail.of("rejected", event.stage) == by:
        return Why(Rule.APPROVAL, values, (f"with {event.stage} approved it would have gone on",), by)
    values["fail_fast"] = True
    flips = (
        f"with `allow_failure: true` for {event.stage} the run would have gone on",
        f"with `fail_fast: false` for the pipeline what does not need {event.stage} would have gone on",
    )
    return Why(Rule.FAIL_FAST, values, flips, by)


def _run_over(event: e.RunFinished, run: Run, trail: Trail) -> Why:
    if run.plan is None:
        flips = ("with a valid pipeline file its stages would have run",)
        return Why(Rule.PIPELINE_FILE, {"problems": [str(each) for each in run.problems]}, flips, trail.made)
    values: Seen = {"stages": {name: _state(each) for name, each in run.stages.items()}}
    by = max((trail.stage_over(name) for name in run.stages), default=0)
    by = max(by, trail.made, *(trail.of("rolled back", name) for name in run.stages))
    if run.status is RunStatus.CANCELLING:
        rule = Rule.CONCURRENCY if run.superseded_by else Rule.CANCEL
        return Why(rule, values, ("it would not have ended so if nobody had cancelled it",), by)
    if event.outcome is Outcome.SUCCESS:
        return Why(Rule.OUTCOME, values, by=by)
    bad = [
        name
        for name, each in run.stages.items()
        if each.blocks
        and each.outcome not in (Outcome.SKIPPED, Outcome.SUCCESS)
        and (not run.halted_by or name == run.halted_by)
    ]
    rule = Rule.FAIL_FAST if run.halted_by else Rule.OUTCOME
    return Why(rule, values, _had_ended_well(run, bad, "the run"), by)


# --- attempts -------------------------------------------------------------------------------------


def _handed_out(event: e.AttemptLaunched | e.AttemptStarted, run: Run, trail: Trail) -> Why:
    name = run.stage_of(event.task) or ""
    stage, planned, task = _stage(run, name), _planned(run, name), _task(run, event.task)
    if isinstance(event, e.AttemptStarted):
        limit = format_duration(planned.timeout) if planned else ""
        seen: Seen = {"worker": event.worker, "sandbox": event.sandbox, "timeout": limit}
        return Why(Rule.AGENT, seen, by=trail.of("launched", event.attempt), heard="turnout.task.started")
    if event.number > 1:
        due = task.due_at.isoformat() if task.due_at else ""
        rule = Rule.INFRASTRUCTURE_RETRIES if trail.lost(event.task) else Rule.RETRIES
        return Why(rule, {"attempt": event.number, "due at": due}, by=trail.of("retry", event.task))
    if stage.rollback is not None and event.task in stage.rollback.tasks:
        seen = {"failed": stage.rollback.because}
        return Why(Rule.ROLLBACK, seen, by=trail.of("rollback", stage.name))
    limit_of_run = run.plan.parallel if run.plan else 0
    under_way = sum(each.active for _, each in run.tasks())
    seen = {"under way": under_way, "parallel": limit_of_run or "no limit"}
    return Why(Rule.PARALLEL, seen, by=trail.of("started", stage.name))


def _ended(event: e.AttemptFinished, run: Run, trail: Trail) -> Why:
    planned = _planned(run, run.stage_of(event.task) or "")
    last = _task(run, event.task).current
    known = last if last is not None and last.id == event.attempt else None
    by = max(trail.of("begun", event.attempt), trail.of("launched", event.attempt))
    now = event.at.isoformat()
    agent = planned.agent if planned else "its"
    match event.by:
        case "agent":
            seen: Seen = {"outcome": event.result.outcome.value, "attempt": known.number if known else 0}
            return Why(Rule.AGENT, seen, by=by, heard="turnout.task.finished")
        case "launch":
            flip = f"with an agent for {agent} free in time it would have been started"
            values = {"deadline": _at(known, "launch_deadline"), "now": now}
            return Why(Rule.LAUNCH_DEADLINE, values, (flip,), by, "time")
        case "lease":
            worker = known.worker if known else ""
            until = event.lease_until.isoformat() if event.lease_until else "not recorded"
            values = {"lease until": until, "now": now, "lease": run.timing.lease, "worker": worker}
            flip = (
                f"had {worker or 'its agent'} been heard within {run.timing.lease:g} s, it would have gone on"
            )
            return Why(Rule.LEASE, values, (flip,), by, "time")
        case "timeout":
            values = {
                "deadline": _at(known, "deadline"),
                "now": now,
                "timeout": planned.timeout if planned else 0,
            }
            return Why(Rule.TIMEOUT, values, ("with a longer `timeout` it would have gone on",), by, "time")
        case "cancel":
            values = {"give up at": _at(known, "give_up_at"), "now": now}
            return Why(Rule.CANCEL_GRACE, values, by=trail.of("ordered", event.attempt), heard="time")
        case "runtime":
            return Why(Rule.RUNTIME, {"reason": event.result.reason}, by=by, heard="the runtime")
        case _:
            assert_never(event.by)


def _retried(event: e.RetryScheduled, run: Run, trail: Trail) -> Why:
    task, planned = _task(run, event.task), _planned(run, run.stage_of(event.task) or "")
    by = trail.of("ended", event.task)
    if event.budget == "infrastructure":
        return Why(Rule.INFRASTRUCTURE_RETRIES, _lost(run, task), (), by)
    flip = f"with `retries.max: {task.retries}` it would not have been tried again"
    return Why(Rule.RETRIES, _budget(planned, task) | {"due at": event.due_at.isoformat()}, (flip,), by)


def _task_over(event: e.TaskFinished, run: Run, trail: Trail) -> Why:
    name = run.stage_of(event.task) or ""
    task, planned = _task(run, event.task), _planned(run, name)
    last = task.current
    if task.status is not TaskStatus.SETTLING or last is None or last.result is None:
        return stopped_by(run, name, trail)
    by, result = trail.of("ended", event.task), last.result
    values: Seen = {"outcome": result.outcome.value, "attempt": last.number}
    undoing = event.task not in _stage(run, name).tasks
    if result.outcome is Outcome.SUCCESS:
        return Why(Rule.OUTCOME, values, by=by)
    if last.cancel_reason or (not undoing and _stopping(run, name)):
        stopped = stopped_by(run, name, trail)
        return Why(stopped.rule, {**stopped.values, **values}, stopped.flips, by)
    if result.lost:
        return Why(Rule.INFRASTRUCTURE_RETRIES, values | _lost(run, task), (), by)
    values |= _budget(planned, task)
    flips: tuple[str, ...] = ()
    if planned is not None and result.outcome is not Outcome.CANCELLED:
        again = "it would have been tried again"
        on = "" if result.outcome in planned.retries.on else f"`{result.outcome.value}` in `retries.on`"
        more = f"`retries.max: {task.retries + 1}`" if task.retries >= planned.retries.max else ""
        flips = (f"with {' and '.join(filter(None, (more, on)))} {again}",)
    return Why(Rule.RETRIES, values, flips, by)


def stopped_by(run: Run, stage: str, trail: Trail, *, whole: bool = False) -> Why:
    """Why nothing of the stage goes on. ``whole``: it has not begun, so no cell of its own can be what stops it."""
    if run.status is RunStatus.CANCELLING:
        by = trail.of("cancelled", "")
        if run.superseded_by:
            flip = "with `concurrency.cancel_superseded: false` it would have gone on"
            return Why(Rule.CONCURRENCY, {"newer run": run.superseded_by, "group": _group(run)}, (flip,), by)
        return Why(Rule.CANCEL, {"by": run.cancelled_by, "reason": run.reason}, (), by)
    if run.halted_by:
        return _behind(run, stage, trail)
    cells = {} if whole else _stage(run, stage).tasks
    failed = [task.id for task in cells.values() if task.outcome not in (None, Outcome.SUCCESS)]
    by = max((trail.of("task over", task) for task in failed), default=0)
    flips = (f"with `fail_fast: false` for {stage} it would have gone on",)
    return Why(Rule.FAIL_FAST, {"failed": failed, "fail_fast": True}, flips, by)


def _behind(run: Run, stage: str, trail: Trail) -> Why:
    halting = run.halted_by
    values: Seen = {"halted by": halting, "outcome": _state(_stage(run, halting))}
    by = trail.of("halted", "")
    if trail.of("rejected", halting):
        return Why(Rule.APPROVAL, values, (f"with {halting} approved it would have gone on",), by)
    flips = [f"with `allow_failure: true` for {halting} it would have gone on"]
    if halting not in _upstream(run, stage):
        flips.append("with `fail_fast: false` for the pipeline it would have gone on")
    return Why(Rule.FAIL_FAST, values, tuple(flips), by)


def _upstream(run: Run, stage: str) -> set[str]:
    found: set[str] = set()
    left = [stage]
    while left:
        planned = _planned(run, left.pop())
        for need in planned.needs if planned else ():
            if need not in found:
                found.add(need)
                left.append(need)
    return found


def _stopping(run: Run, stage: str) -> bool:
    """As the decider has it: whether what runs of the stage is not tried again."""
    if run.status is RunStatus.CANCELLING or run.halted_by:
        return True
    planned = _planned(run, stage)
    bad = any(task.outcome not in (None, Outcome.SUCCESS) for task in _stage(run, stage).tasks.values())
    return bad and planned is not None and planned.fail_fast


# --- what is not heeded ---------------------------------------------------------------------------


def _ignored(event: e.MessageIgnored, run: Run) -> Why:
    values: Seen = {"message": event.message, "by": event.by, "attempt": event.attempt}
    planned = _planned(run, event.stage)
    if "token is not" in event.reason:
        return Why(
            Rule.PROOF, values, ("with the attempt's own token it would have counted",), 0, event.message
        )
    if "may not decide" in event.reason:
        may = list(planned.approval.by) if planned and planned.approval else []
        flips = (f"from {' or '.join(may)} it would have counted",) if may else ()
        return Why(Rule.APPROVAL, values | {"may": may}, flips, 0, event.message)
    if event.attempt:
        found = run.attempt(event.attempt)
        current = found[1].current if found else None
        values["current attempt"] = current.id if current else ""
        return Why(Rule.CURRENT_ATTEMPT, values, (), 0, event.message)
    return Why(Rule.STATE, values | {"run": run.status.value}, (), 0, event.message)


# --- what is seen ---------------------------------------------------------------------------------


def seen_by(rulings: Sequence[Ruling]) -> Seen:
    """By rule, its patterns and what it compared with them."""
    found: Seen = {}
    for each in rulings:
        seen: Seen = {"holds": each.holds, "listed": [*each.listed, *each.tags], "saw": list(each.saw)}
        if each.of is not None and each.of != len(each.saw):
            seen["of"] = each.of
        if each.where:
            seen["environment"] = each.where
        found[each.rule.value] = seen
    return found


def _needs(run: Run, planned: PlannedStage | None) -> Seen:
    return {"needs": {name: _state(_stage(run, name)) for name in (planned.needs if planned else ())}}


def _had_ended_well(run: Run, names: Sequence[str], what: str) -> tuple[str, ...]:
    """``names``: stages that stand in the way."""
    if not names:
        return ()
    said = "would have run" if what == "it" else "would have succeeded"
    flips = [f"had {' and '.join(names)} ended well, {what} {said}"]
    failed = [n for n in names if _stage(run, n).outcome not in (Outcome.SKIPPED, Outcome.CANCELLED)]
    if failed == list(names):
        flips.append(f"with `allow_failure: true` for {' and '.join(names)} {what} {said} all the same")
    return tuple(flips)


def _budget(planned: PlannedStage | None, task: Task) -> Seen:
    if planned is None:
        return {}
    on = [each.value for each in planned.retries.on]
    return {"retries spent": task.retries, "retries.max": planned.retries.max, "retries.on": on}


def _lost(run: Run, task: Task) -> Seen:
    return {
        "lost before": task.lost,
        "infrastructure retries": run.plan.infrastructure_retries if run.plan else 0,
    }


def _outcomes(tasks: Mapping[str, Task]) -> Seen:
    return {id: task.outcome.value if task.outcome else task.status.value for id, task in tasks.items()}


def _state(stage: Stage) -> str:
    return stage.outcome.value if stage.outcome else stage.status.value


def _group(run: Run) -> str:
    return run.plan.concurrency.group if run.plan and run.plan.concurrency else ""


def _at(attempt: Attempt | None, name: str) -> str:
    found = getattr(attempt, name, None)
    return found.isoformat() if found else ""


def _stage(run: Run, name: str) -> Stage:
    return run.stages.get(name) or Stage(name=name)


def _planned(run: Run, name: str) -> PlannedStage | None:
    return next((each for each in run.plan.stages if each.name == name), None) if run.plan else None


def _task(run: Run, id: str) -> Task:
    return next((task for _, task in run.tasks() if task.id == id), None) or Task(id=id)
