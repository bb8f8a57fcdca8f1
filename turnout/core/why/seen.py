"""What rules see, as plain JSON, and what a run holds of whatever is named: also of what it does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnout.core.model import Outcome
from turnout.core.plan import PlannedStage
from turnout.core.ruling import Rule, Ruling
from turnout.core.run import Attempt, Run, Stage, Task

Seen = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Why:
    """As `turnout.core.causes.Cause` has them."""

    rule: Rule
    values: Mapping[str, Any] = field(default_factory=dict)
    flips: tuple[str, ...] = ()
    by: int = 0
    heard: str = ""


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


def needs_of(run: Run, planned: PlannedStage | None) -> Seen:
    return {"needs": {name: state(stage_of(run, name)) for name in (planned.needs if planned else ())}}


def had_ended_well(run: Run, names: Sequence[str], then: str) -> tuple[str, ...]:
    """``names``: stages that stand in the way. ``then``: what would be so if they had ended well."""
    if not names:
        return ()
    flips = [f"had {' and '.join(names)} ended well, {then}"]
    if all(stage_of(run, each).outcome not in (Outcome.SKIPPED, Outcome.CANCELLED) for each in names):
        flips.append(f"with `allow_failure: true` for {' and '.join(names)} {then} all the same")
    return tuple(flips)


def budget(planned: PlannedStage | None, task: Task) -> Seen:
    if planned is None:
        return {}
    on = [each.value for each in planned.retries.on]
    return {"retries spent": task.retries, "retries.max": planned.retries.max, "retries.on": on}


def lost_so_far(run: Run, task: Task) -> Seen:
    return {
        "lost before": task.lost,
        "infrastructure retries": run.plan.infrastructure_retries if run.plan else 0,
    }


def outcomes(tasks: Mapping[str, Task]) -> Seen:
    return {id: task.outcome.value if task.outcome else task.status.value for id, task in tasks.items()}


def state(stage: Stage) -> str:
    return stage.outcome.value if stage.outcome else stage.status.value


def group(run: Run) -> str:
    return run.plan.concurrency.group if run.plan and run.plan.concurrency else ""


def at(attempt: Attempt | None, name: str) -> str:
    found = getattr(attempt, name, None)
    return found.isoformat() if found else ""


def stage_of(run: Run, name: str) -> Stage:
    return run.stages.get(name) or Stage(name=name)


def planned_of(run: Run, name: str) -> PlannedStage | None:
    return next((each for each in run.plan.stages if each.name == name), None) if run.plan else None


def task_of(run: Run, id: str) -> Task:
    return next((task for _, task in run.tasks() if task.id == id), None) or Task(id=id)
