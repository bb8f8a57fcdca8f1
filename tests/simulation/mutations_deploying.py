"""Defects of environments, rollbacks and reconciliation, to be planted one at a time (see
`tests.simulation.mutations`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.simulation.launched import Containers
from tests.simulation.machines import Jobs
from tests.simulation.scenario import GATED, JOB, Scenario
from turnout import orchestration
from turnout.core import advance, environments, evolve
from turnout.core import events as e
from turnout.core import run as states
from turnout.core.environments import NO_TURNS, Bundle, Turns
from turnout.core.model import Outcome
from turnout.core.ports import JobState
from turnout.orchestration import Orchestrator
from turnout.reconciling import Reconciler

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def deploys(scenario: Scenario) -> bool:
    """Whether anything of this world deploys to an environment."""
    return any(
        each.kind == "run" and any(stage.environment for stage in scenario.plan(each).stages)
        for each in scenario.pushes
    )


def has_jobs(scenario: Scenario) -> bool:
    return any(
        each.kind == "run" and any(stage.runtime in (JOB, GATED) for stage in scenario.plan(each).stages)
        for each in scenario.pushes
    )


def nothing_recorded(patch: Patch) -> None:
    patch.setattr(orchestration, "turns", lambda _before, _after: NO_TURNS)


def nobody_asked(patch: Patch) -> None:
    """And a row that is there already is overwritten."""
    patch.setattr(orchestration, "deploys", lambda _before, _events: False)
    found = environments.turns
    patch.setattr(orchestration, "turns", lambda before, after: _unheld(found(before, after)))


def _unheld(found: Turns) -> Turns:
    return replace(found, taken=(), given=())


def never_given_back(patch: Patch) -> None:
    found = environments.turns
    patch.setattr(orchestration, "turns", lambda before, after: replace(found(before, after), given=()))


def nobody_is_woken(patch: Patch) -> None:
    patch.setattr(Orchestrator, "_for_the_next", lambda _self, _after, _changed, _now: [])
    patch.setattr(orchestration, "awaited", lambda _run: frozenset())


def not_held_for_the_rollback(patch: Patch) -> None:
    patch.setattr(environments, "_ended", lambda stage: stage.status is states.StageStatus.FINISHED)


def taken_one_by_one(patch: Patch) -> None:
    bundles = environments._bundles

    def apart(plan: Any) -> Sequence[Bundle]:
        found = []
        for each in bundles(plan):
            for name in sorted(each.stages):
                guards = {guard.name for guard in plan.stages if guard.rollback == name != guard.name}
                alone = frozenset((plan.stage(name).environment,))
                found.append(Bundle(frozenset((name,)), frozenset(guards), alone))
        return found

    patch.setattr(environments, "_bundles", apart)


def rolled_back_again(patch: Patch) -> None:
    """Whoever fails asks for it, whatever has been done."""

    def again(d: Any, because: str, reason: str) -> None:
        undone = d.run.stages.get(d.run.planned(because).rollback)
        if undone is not None and undone.started_at is not None and undone.outcome == "success":
            d.emit(e.RollbackStarted(at=d.now, stage=undone.name, because=because, reason=reason))

    evolve_stage = evolve._evolve_stage

    def forgetful(stage: Any, event: Any) -> Any:
        if isinstance(event, e.RollbackStarted):
            stage = stage.with_(rollback=None)
        return evolve_stage(stage, event)

    patch.setattr(advance, "_begin_rollback", again)
    patch.setattr(evolve, "_evolve_stage", forgetful)


def not_waited_for(patch: Patch) -> None:
    patch.setattr(advance, "_over", lambda stage: stage.status is states.StageStatus.FINISHED)


def never_rolled_back(patch: Patch) -> None:
    patch.setattr(advance, "_begin_rollback", lambda _d, _because, _reason: None)


def cancelled_as_others_are(patch: Patch) -> None:
    advance_rollback = advance._advance_rollback

    def stopped(d: Any, name: str) -> None:
        undone = d.run.stages[name].rollback
        if undone is not None and d.run.status is states.RunStatus.CANCELLING and undone.outcome is None:
            d.emit(e.RollbackFinished(at=d.now, stage=name, outcome=Outcome.CANCELLED))
        else:
            advance_rollback(d, name)

    patch.setattr(advance, "_advance_rollback", stopped)


def who_comes_last_is_newest(patch: Patch) -> None:
    patch.setattr(Orchestrator, "_is_newer", lambda _self, _deployed, _run: False)


def no_time_for_results(patch: Patch) -> None:
    look = Reconciler.look

    def hasty(self: Reconciler) -> int:
        self.settle = timedelta()
        return look(self)

    patch.setattr(Reconciler, "look", hasty)


def unknown_is_lost(patch: Patch) -> None:
    for kind in (Containers, Jobs):
        state = kind.state

        def gone(self: Any, attempt: str, state: Any = state) -> JobState:
            found: JobState = state(self, attempt)
            return JobState("ended", "it is not there") if found.phase == "unknown" else found

        patch.setattr(kind, "state", gone)


DEPLOYING: dict[str, Plant] = {
    "which run holds an environment is not recorded": nothing_recorded,
    "nobody looks whether an environment is held": nobody_asked,
    "an environment is never given back": never_given_back,
    "who waits for an environment is not told, nor looked at": nobody_is_woken,
    "an environment is given back before the rollback": not_held_for_the_rollback,
    "environments that are held together are taken one by one": taken_one_by_one,
    "a stage is rolled back for each stage that asks for it": rolled_back_again,
    "a run does not wait for its rollback": not_waited_for,
    "nothing is ever rolled back": never_rolled_back,
    "a rollback is over when its run is cancelled": cancelled_as_others_are,
    "who comes last is taken for the newest": who_comes_last_is_newest,
}
RECONCILING: dict[str, Plant] = {
    "a job that has ended is lost before its result has had time": no_time_for_results,
    "a job that the runtime does not know is lost": unknown_is_lost,
}
