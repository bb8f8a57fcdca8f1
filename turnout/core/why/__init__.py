"""Why one event was decided, given the run before it: the rule, what it saw, what would turn it. Pure."""

from __future__ import annotations

from typing import assert_never

from turnout.core import events as e
from turnout.core.model import ChangeKind, Outcome
from turnout.core.ruling import Rule
from turnout.core.run import Run, RunStatus
from turnout.core.trail import Trail
from turnout.core.why import attempts, stages
from turnout.core.why.seen import (
    Seen,
    Why,
    group,
    had_ended_well,
    outcomes,
    planned_of,
    seen_by,
    stage_of,
    state,
)
from turnout.core.why.stopped import stopped_by


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
            return stages.skipped(event, run, trail)
        case e.ApprovalRequested() | e.EnvironmentAwaited() | e.StageStarted():
            return stages.opened(event, run, trail)
        case e.StageApproved() | e.StageRejected():
            return stages.answered(event, run, trail)
        case e.AttemptLaunched() | e.AttemptStarted():
            return attempts.handed_out(event, run, trail)
        case e.CancelOrdered():
            return stopped_by(run, run.stage_of(event.task) or "", trail)
        case e.AttemptFinished():
            return attempts.ended(event, run, trail)
        case e.RetryScheduled():
            return attempts.retried(event, run, trail)
        case e.TaskFinished():
            return attempts.task_over(event, run, trail)
        case e.StageFinished():
            return stages.over(event, run, trail)
        case e.RollbackStarted():
            seen: Seen = {"failed": event.because, "rollback": event.stage}
            flip = f"without `rollback: {event.stage}` on {event.because} it would have been left as it is"
            return Why(Rule.ROLLBACK, seen, (flip,), trail.stage_over(event.because))
        case e.RollbackFinished():
            rollback = stage_of(run, event.stage).rollback
            tasks = rollback.tasks if rollback else {}
            over = max((trail.of("task over", task) for task in tasks), default=0)
            return Why(Rule.ROLLBACK, {"tasks": outcomes(tasks)}, by=over)
        case e.RunHalted():
            return _halted(event, trail)
        case e.CancelRequested():
            if event.superseded_by:
                flip = "with `concurrency.cancel_superseded: false` the newer run would have waited for it"
                newer = {"newer run": event.superseded_by, "group": group(run)}
                return Why(Rule.CONCURRENCY, newer, (flip,), heard="turnout.run.supersede")
            return Why(Rule.CANCEL, {"by": event.by, "reason": event.reason}, heard="turnout.run.cancel")
        case e.MessageIgnored():
            return _ignored(event, run)
        case e.RunFinished():
            return _run_over(event, run, trail)
        case _:
            assert_never(event)


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
    values: Seen = {"stages": {name: state(each) for name, each in run.stages.items()}}
    by = max((trail.stage_over(name) for name in run.stages), default=0)
    by = max(by, trail.made, *(trail.of("rolled back", name) for name in run.stages))
    if run.status is RunStatus.CANCELLING:
        rule = Rule.CONCURRENCY if run.superseded_by else Rule.CANCEL
        return Why(rule, values, ("it would not have ended so if nobody had cancelled it",), by)
    if event.outcome is Outcome.SUCCESS:
        return Why(Rule.OUTCOME, values, by=by)
    if run.halted_by:  # what would have kept the run from that is said there
        return Why(Rule.FAIL_FAST, values, by=by)
    bad = [
        name
        for name, each in run.stages.items()
        if each.blocks and each.outcome not in (Outcome.SKIPPED, Outcome.SUCCESS)
    ]
    return Why(Rule.OUTCOME, values, had_ended_well(run, bad, "the run would not have ended so"), by)


def _ignored(event: e.MessageIgnored, run: Run) -> Why:
    values: Seen = {"message": event.message, "by": event.by, "attempt": event.attempt}
    planned = planned_of(run, event.stage)
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
