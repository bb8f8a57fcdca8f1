"""One deploy per environment at a time: which environments a run holds, waits for, and would have to take. Pure.

A stage of the deploy agent that names an environment holds it, from its start to its end, through all its attempts.
Where a later stage may roll it back (``rollback: <stage>``), the environment stays held until that stage has ended and
the rollback, if there is one, too: otherwise another run's deploy could be what is undone.

What is held beyond a stage's own end is taken at once: everything that all stages up to the one that may roll back will
deploy to, and what those hold. So whoever holds an environment never waits for another one, and nobody waits for ever.
Runs take turns in the order in which they were created.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from turnout.core import events as e
from turnout.core.model import Outcome
from turnout.core.plan import Plan, PlannedStage
from turnout.core.run import Run, Stage, StageStatus

HOLDING_AGENT = "deploy"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Deploy stages whose environments are taken and given back together. ``guards``: what may roll them back."""

    stages: frozenset[str]
    guards: frozenset[str]
    environments: frozenset[str]


@dataclass(frozen=True, slots=True)
class Turns:
    """How a run's place changes: environments that it takes, gives back, begins to wait for, and waits for no more.

    ``deployed``: those of the ones given back that have now what the run has brought."""

    taken: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    queued: tuple[str, ...] = ()
    unqueued: tuple[str, ...] = ()
    deployed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.taken or self.given or self.queued or self.unqueued)

    @property
    def freed(self) -> tuple[str, ...]:
        """Environments whose next one may go."""
        return tuple(sorted({*self.given, *self.unqueued} - {*self.taken}))


NO_TURNS = Turns()


def holds(planned: PlannedStage) -> bool:
    """Whether the stage holds an environment while it runs."""
    return planned.agent == HOLDING_AGENT and bool(planned.environment)


def of_plan(plan: Plan | None) -> frozenset[str]:
    """All that runs of the plan may ever hold; empty for most plans."""
    return (
        frozenset(each.environment for each in plan.stages if holds(each))
        if plan is not None
        else frozenset()
    )


def held(run: Run) -> frozenset[str]:
    """Environments that nobody else may deploy to now."""
    if run.finished or run.plan is None or not of_plan(run.plan):
        return frozenset()
    found = (each.environments for each in _bundles(run.plan) if _under_way(run, each))
    return frozenset().union(*found)


def awaited(run: Run) -> frozenset[str]:
    """Environments that the run waits for others to give back."""
    if run.finished or run.plan is None or not any(stage.held_by for stage in run.stages.values()):
        return frozenset()
    waiting = [stage.name for stage in run.stages.values() if stage.held_by]
    found = (each.environments for each in _bundles(run.plan) if not each.stages.isdisjoint(waiting))
    return frozenset().union(*found) - held(run)


def turns(before: Run | None, after: Run) -> Turns:
    """What the store must know of the change from ``before`` to ``after``."""
    if not of_plan(after.plan):
        return NO_TURNS
    had, has = held(before) if before else frozenset(), held(after)
    waited, waits = awaited(before) if before else frozenset(), awaited(after)
    given = tuple(sorted(had - has))
    return Turns(
        taken=tuple(sorted(has - had)),
        given=given,
        queued=tuple(sorted(waits - waited)),
        unqueued=tuple(sorted(waited - waits)),
        deployed=tuple(each for each in given if _brought(after, each)),
    )


def _brought(run: Run, environment: str) -> bool:
    """Whether a deploy of the run to it went well, and was not undone."""
    stages = (run.stages[name] for name in run.stages if to_deploy(run, name) == environment)
    return any(
        each.started_at is not None and each.outcome is Outcome.SUCCESS and each.rollback is None
        for each in stages
    )


def deploys(before: Run | None, events: Sequence[e.Event]) -> bool:
    """Whether the events, decided for ``before``, start a stage that holds an environment."""
    started = [each.stage for each in events if isinstance(each, e.StageStarted)]
    if not started:
        return False
    first = events[0]
    plan = before.plan if before is not None else first.plan if isinstance(first, e.RunCreated) else None
    return plan is not None and any(holds(plan.stage(each)) for each in started)


def to_deploy(run: Run, stage: str) -> str:
    """The environment that the stage deploys to; empty: none."""
    planned = run.planned(stage)
    return planned.environment if holds(planned) else ""


def in_the_way(run: Run, stage: str, taken: Mapping[str, str]) -> tuple[str, str] | None:
    """The environment that keeps the stage from starting, and the run that has it, empty: this one. None: nothing.

    ``taken``: environments to the runs that hold them, or whose turn it is.
    """
    planned = run.planned(stage)
    if run.plan is None or not holds(planned):
        return None
    bundle = next(each for each in _bundles(run.plan) if stage in each.stages)
    for environment in sorted(bundle.environments - held(run)):
        if environment in taken:
            return environment, taken[environment]
    return (planned.environment, "") if busy(run, planned.environment) else None


def busy(run: Run, environment: str, *, but: str = "") -> bool:
    """Whether a deploy of this run, or a rollback of one, is at work on it. ``but``: a stage that does not count."""
    for stage in run.stages.values():
        planned = run.planned(stage.name)
        if stage.name == but or planned.environment != environment or not holds(planned):
            continue
        undone = stage.rollback.tasks.values() if stage.rollback else ()
        if stage.status is StageStatus.RUNNING or any(task.active for task in undone):
            return True
    return False


def _under_way(run: Run, bundle: Bundle) -> bool:
    """Whether one of its stages has begun, here, and not everything has ended."""
    stages = [run.stages[each] for each in bundle.stages]
    if not any(each.started_at is not None for each in stages):
        return False
    return any(not _ended(run.stages[each]) for each in (*bundle.stages, *bundle.guards))


def _ended(stage: Stage) -> bool:
    undone = stage.rollback is None or stage.rollback.outcome is not None
    return stage.status is StageStatus.FINISHED and undone


def _bundles(plan: Plan) -> Sequence[Bundle]:
    stages = {each.name: each for each in plan.stages}
    together: list[tuple[set[str], set[str]]] = [({each.name}, set()) for each in plan.stages if holds(each)]
    for guard in plan.stages:
        undone = stages.get(guard.rollback)
        if undone is None or undone.name == guard.name or not holds(undone):
            continue
        before = {name for name in _upstream(stages, guard) if holds(stages[name])} | {undone.name}
        joined = [each for each in together if not each[0].isdisjoint(before)]
        rest = [each for each in together if each[0].isdisjoint(before)]
        merged: tuple[set[str], set[str]] = (set(), {guard.name})
        for names, guards in joined:
            merged[0].update(names)
            merged[1].update(guards)
        together = [*rest, merged]
    return [
        Bundle(frozenset(names), frozenset(guards), frozenset(stages[name].environment for name in names))
        for names, guards in together
    ]


def _upstream(stages: Mapping[str, PlannedStage], of: PlannedStage) -> Iterable[str]:
    found: set[str] = set()
    left = list(of.needs)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(stages[name].needs)
    return found
