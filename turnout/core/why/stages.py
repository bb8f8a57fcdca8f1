"""Why stages are left out, wait, start and end."""

from __future__ import annotations

from typing import assert_never

from turnout.core import events as e
from turnout.core.flips import let_in, refused_by
from turnout.core.model import Outcome
from turnout.core.ruling import Rule
from turnout.core.run import Run
from turnout.core.trail import Trail
from turnout.core.why.seen import (
    Seen,
    Why,
    had_ended_well,
    needs_of,
    outcomes,
    planned_of,
    seen_by,
    stage_of,
)
from turnout.core.why.stopped import stopped_by


def skipped(event: e.StageSkipped, run: Run, trail: Trail) -> Why:
    planned, opened = planned_of(run, event.stage), _opened_by(run, event.stage, trail)
    match event.because:
        case "when":
            values = seen_by(planned.rulings) if planned and planned.rulings else {"reason": event.reason}
            rule = refused_by(planned) if planned else Rule.WHEN
            return Why(rule, values, let_in(planned, run.change) if planned else (), opened)
        case "needs":
            blocking = [name for name in (planned.needs if planned else ()) if stage_of(run, name).blocks]
            return Why(
                Rule.NEEDS,
                needs_of(run, planned),
                had_ended_well(run, blocking, "its turn would have come"),
                opened,
            )
        case "overtaken":
            there = planned.environment if planned else ""
            values = needs_of(run, planned) | {
                "environment": there,
                "moved at": _moved(run),
                "seen": event.reason,
            }
            rerun = f"a rerun of this run deploys it all the same: turnout rerun {run.id}"
            return Why(Rule.OVERTAKEN, values, (rerun,), opened)
        case "halted" | "cancelled":
            return stopped_by(run, event.stage, trail, whole=True)
        case _:
            assert_never(event.because)


def _moved(run: Run) -> str:
    return run.change.moved_at.isoformat() if run.change.moved_at else ""


def opened(event: e.ApprovalRequested | e.EnvironmentAwaited | e.StageStarted, run: Run, trail: Trail) -> Why:
    stage, planned = stage_of(run, event.stage), planned_of(run, event.stage)
    by = _opened_by(run, event.stage, trail)
    values = needs_of(run, planned)
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
    planned = planned_of(run, stage)
    needs = (trail.stage_over(name) for name in (planned.needs if planned else ()))
    return max(trail.made, trail.of("approved", stage), *needs, 0)


def answered(event: e.StageApproved | e.StageRejected, run: Run, trail: Trail) -> Why:
    stage, planned = stage_of(run, event.stage), planned_of(run, event.stage)
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


def over(event: e.StageFinished, run: Run, trail: Trail) -> Why:
    stage = stage_of(run, event.stage)
    over = max((trail.of("task over", task) for task in stage.tasks), default=0)
    values: Seen = {"tasks": outcomes(stage.tasks)}
    if event.outcome is Outcome.SUCCESS:
        return Why(Rule.OUTCOME, values, by=over)
    if event.allowed:
        flip = f"without `allow_failure` {event.stage} would have ended badly for what needs it"
        return Why(Rule.ALLOW_FAILURE, values | {"allow_failure": True}, (flip,), over)
    bad = [task.id for task in stage.tasks.values() if task.outcome is not Outcome.SUCCESS]
    flips = [f"had {' and '.join(bad)} ended well, it would have too"] if len(stage.tasks) > 1 else []
    if event.outcome is not Outcome.CANCELLED:
        flips.append(f"with `allow_failure: true` {event.stage} would do no harm to the run")
    return Why(Rule.OUTCOME, values | {"allow_failure": False}, tuple(flips), over)
