"""Why what has not ended goes no further: somebody cancelled, the run was halted, or another cell has failed."""

from __future__ import annotations

from turnout.core.model import Outcome
from turnout.core.ruling import Rule
from turnout.core.run import Run, RunStatus
from turnout.core.trail import Trail
from turnout.core.why.seen import (
    Seen,
    Why,
    group,
    planned_of,
    stage_of,
    state,
)


def stopped_by(run: Run, stage: str, trail: Trail, *, whole: bool = False) -> Why:
    """Why nothing of the stage goes on. ``whole``: it has not begun, so no cell of its own can be what stops it, and
    what else would have kept it from starting nobody knows."""
    then = "it would not have been skipped for that" if whole else "it would have gone on"
    if run.status is RunStatus.CANCELLING:
        by = trail.of("cancelled", "")
        if run.superseded_by:
            flip = f"with `concurrency.cancel_superseded: false` {then}"
            return Why(Rule.CONCURRENCY, {"newer run": run.superseded_by, "group": group(run)}, (flip,), by)
        return Why(Rule.CANCEL, {"by": run.cancelled_by, "reason": run.reason}, (), by)
    if run.halted_by:
        return _behind(run, stage, trail, then)
    cells = {} if whole else stage_of(run, stage).tasks
    failed = [task.id for task in cells.values() if task.outcome not in (None, Outcome.SUCCESS)]
    by = max((trail.of("task over", task) for task in failed), default=0)
    flips = (f"with `fail_fast: false` for {stage} it would have gone on",)
    return Why(Rule.FAIL_FAST, {"failed": failed, "fail_fast": True}, flips, by)


def _behind(run: Run, stage: str, trail: Trail, then: str) -> Why:
    halting = run.halted_by
    values: Seen = {"halted by": halting, "outcome": state(stage_of(run, halting))}
    by = trail.of("halted", "")
    if trail.of("rejected", halting):
        return Why(Rule.APPROVAL, values, (f"with {halting} approved {then}",), by)
    flips = [f"with `allow_failure: true` for {halting} {then}"]
    if halting not in _upstream(run, stage):
        flips.append(f"with `fail_fast: false` for the pipeline {then}")
    return Why(Rule.FAIL_FAST, values, tuple(flips), by)


def _upstream(run: Run, stage: str) -> set[str]:
    found: set[str] = set()
    left = [stage]
    while left:
        planned = planned_of(run, left.pop())
        for need in planned.needs if planned else ():
            if need not in found:
                found.add(need)
                left.append(need)
    return found


def stopping(run: Run, stage: str) -> bool:
    """As the decider has it: whether what runs of the stage is not tried again."""
    if run.status is RunStatus.CANCELLING or run.halted_by:
        return True
    planned = planned_of(run, stage)
    bad = any(task.outcome not in (None, Outcome.SUCCESS) for task in stage_of(run, stage).tasks.values())
    return bad and planned is not None and planned.fail_fast
