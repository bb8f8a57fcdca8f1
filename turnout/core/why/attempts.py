"""Why attempts are handed out, end, and are or are not tried again."""

from __future__ import annotations

from typing import assert_never

from turnout.core import events as e
from turnout.core.durations import format_duration
from turnout.core.model import Outcome
from turnout.core.ruling import Rule
from turnout.core.run import Run, TaskStatus
from turnout.core.trail import Trail
from turnout.core.why.seen import (
    Seen,
    Why,
    at,
    budget,
    lost_so_far,
    planned_of,
    stage_of,
    task_of,
)
from turnout.core.why.stopped import stopped_by, stopping


def handed_out(event: e.AttemptLaunched | e.AttemptStarted, run: Run, trail: Trail) -> Why:
    name = run.stage_of(event.task) or ""
    stage, planned, task = stage_of(run, name), planned_of(run, name), task_of(run, event.task)
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


def ended(event: e.AttemptFinished, run: Run, trail: Trail) -> Why:
    planned = planned_of(run, run.stage_of(event.task) or "")
    last = task_of(run, event.task).current
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
            values: Seen = {"deadline": at(known, "launch_deadline"), "now": now}
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
                "deadline": at(known, "deadline"),
                "now": now,
                "timeout": planned.timeout if planned else 0,
            }
            return Why(Rule.TIMEOUT, values, ("with a longer `timeout` it would have gone on",), by, "time")
        case "cancel":
            values = {"give up at": at(known, "give_up_at"), "now": now}
            return Why(Rule.CANCEL_GRACE, values, by=trail.of("ordered", event.attempt), heard="time")
        case "runtime":
            return Why(Rule.RUNTIME, {"reason": event.result.reason}, by=by, heard="the runtime")
        case _:
            assert_never(event.by)


def retried(event: e.RetryScheduled, run: Run, trail: Trail) -> Why:
    task, planned = task_of(run, event.task), planned_of(run, run.stage_of(event.task) or "")
    by = trail.of("ended", event.task)
    if event.budget == "infrastructure":
        return Why(Rule.INFRASTRUCTURE_RETRIES, lost_so_far(run, task), (), by)
    flip = f"with `retries.max: {task.retries}` it would not have been tried again"
    return Why(Rule.RETRIES, budget(planned, task) | {"due at": event.due_at.isoformat()}, (flip,), by)


def task_over(event: e.TaskFinished, run: Run, trail: Trail) -> Why:
    name = run.stage_of(event.task) or ""
    task, planned = task_of(run, event.task), planned_of(run, name)
    last = task.current
    if task.status is not TaskStatus.SETTLING or last is None or last.result is None:
        return stopped_by(run, name, trail)
    by, result = trail.of("ended", event.task), last.result
    values: Seen = {"outcome": result.outcome.value, "attempt": last.number}
    undoing = event.task not in stage_of(run, name).tasks
    if result.outcome is Outcome.SUCCESS:
        return Why(Rule.OUTCOME, values, by=by)
    if last.cancel_reason or (not undoing and stopping(run, name)):
        stopped = stopped_by(run, name, trail)
        return Why(stopped.rule, {**stopped.values, **values}, stopped.flips, by)
    if result.lost:
        return Why(Rule.INFRASTRUCTURE_RETRIES, values | lost_so_far(run, task), (), by)
    values |= budget(planned, task)
    flips: tuple[str, ...] = ()
    if planned is not None and result.outcome is not Outcome.CANCELLED:
        again = "it would have been tried again"
        on = "" if result.outcome in planned.retries.on else f"`{result.outcome.value}` in `retries.on`"
        more = f"`retries.max: {task.retries + 1}`" if task.retries >= planned.retries.max else ""
        flips = (f"with {' and '.join(filter(None, (more, on)))} {again}",)
    return Why(Rule.RETRIES, values, flips, by)
