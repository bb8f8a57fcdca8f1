from __future__ import annotations

from typing import Any

import pytest

from tests.core.building import Story, a_plan, kinds, stage
from turnout.core import messages as m
from turnout.core.decider import decide
from turnout.core.environments import Turns, awaited, deploys, held, of_plan, turns
from turnout.core.events import EnvironmentAwaited
from turnout.core.evolve import replay
from turnout.core.explain import explain
from turnout.core.model import Outcome
from turnout.core.plan import Approval, PlannedStage
from turnout.core.run import Run, StageStatus

FREE = m.EnvironmentFree(run="r1", environment="live", after="r0")


def ship(name: str = "ship", *needs: str, environment: str = "live", **more: Any) -> PlannedStage:
    return stage(name, *needs, agent="deploy", environment=environment, **more)


def check(*needs: str, of: str = "ship") -> PlannedStage:
    return stage("check", *needs, rollback=of)


def story(*stages: PlannedStage, taken: dict[str, str] | None = None, **more: Any) -> Story:
    return Story.of(a_plan(*stages, **more), taken=taken)


def test_a_deploy_holds_its_environment_from_its_start_to_its_end() -> None:
    told = story(stage("test"), ship("ship", "test"), stage("after", "ship"))
    assert held(told.run) == frozenset()
    told.ends("test")
    assert held(told.run) == {"live"}
    told.ends("ship")
    assert held(told.run) == frozenset()


@pytest.mark.parametrize(
    "only", [ship(environment=""), stage("ship", environment="live")], ids=["no environment", "no deploy"]
)
def test_other_stages_hold_nothing(only: PlannedStage) -> None:
    told = story(only, taken={"live": "r0", "": "r0"})
    assert told.active() == ["ship"]
    assert held(told.run) == frozenset()


def test_it_is_held_through_all_attempts() -> None:
    told = story(ship(retries=1))
    told.ends("ship", Outcome.FAILURE)
    assert told.run.stages["ship"].attempts == 2
    assert held(told.run) == {"live"}


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT, Outcome.SUCCESS])
def test_it_is_given_back_in_every_ending(outcome: Outcome) -> None:
    told = story(ship())
    told.ends("ship", outcome)
    assert held(told.run) == frozenset()


def test_a_cancelled_run_holds_it_until_its_deploy_has_ended() -> None:
    told = story(ship())
    told.hear(m.CancelRun(run="r1", by="ann"))
    assert held(told.run) == {"live"}
    told.ends("ship", Outcome.CANCELLED)
    assert held(told.run) == frozenset()


def test_a_deploy_whose_environment_another_run_holds_waits_and_says_for_whom() -> None:
    told = story(ship(), taken={"live": "r0"})
    assert told.active() == []
    waiting = told.run.stages["ship"]
    assert (waiting.status, waiting.awaits, waiting.held_by) == (StageStatus.PENDING, "live", "r0")
    assert awaited(told.run) == {"live"}
    assert held(told.run) == frozenset()
    assert explain(told.history)[-1] == "ship waits for environment live: run r0 is ahead of it."


def test_it_is_recorded_once_and_again_when_another_run_comes_first() -> None:
    told = story(ship(), taken={"live": "r0"})
    assert told.hear(FREE) == ()
    told.taken = {"live": "r9"}
    assert kinds(told.hear(FREE)) == ["environment_awaited"]
    assert told.run.stages["ship"].held_by == "r9"


def test_it_starts_when_it_is_its_turn() -> None:
    told = story(ship(), taken={"live": "r0"})
    told.taken = {}
    assert kinds(told.hear(FREE)) == ["stage_started", "attempt_launched"]
    assert told.run.stages["ship"].awaits == ""
    assert held(told.run) == {"live"}
    assert awaited(told.run) == frozenset()


def test_time_alone_finds_its_turn_too() -> None:
    told = story(ship(), taken={"live": "r0"})
    told.taken = {}
    assert kinds(told.later(15)) == ["stage_started", "attempt_launched"]


def test_people_are_asked_before_anything_is_held() -> None:
    told = story(ship(approval=Approval()), taken={"live": "r0"})
    assert told.run.stages["ship"].status == "waiting"
    assert (held(told.run), awaited(told.run)) == (frozenset(), frozenset())
    told.hear(m.Approve(run="r1", stage="ship", by="ann"))
    assert told.run.stages["ship"].status == "approved"
    assert awaited(told.run) == {"live"}


@pytest.mark.parametrize("approval", [None, Approval()])
def test_a_run_that_is_cancelled_while_it_waits_leaves_the_queue(approval: Approval | None) -> None:
    told = story(ship(approval=approval), taken={"live": "r0"})
    if approval:
        told.hear(m.Approve(run="r1", stage="ship", by="ann"))
    told.hear(m.CancelRun(run="r1", by="ann"))
    assert told.run.outcome is Outcome.CANCELLED
    assert awaited(told.run) == frozenset()


def test_what_runs_beside_it_goes_on_while_it_waits() -> None:
    told = story(ship(), stage("docs"), taken={"live": "r0"})
    told.ends("docs")
    assert not told.run.finished


def test_two_deploys_of_one_run_to_one_environment_do_not_overlap() -> None:
    told = story(ship("a"), ship("b"))
    assert told.active() == ["a"]
    assert (told.run.stages["b"].awaits, told.run.stages["b"].held_by) == ("live", "")
    assert awaited(told.run) == frozenset()
    told.ends("a")
    assert told.active() == ["b"]
    assert held(told.run) == {"live"}


def test_deploys_to_different_environments_run_side_by_side() -> None:
    told = story(ship("a"), ship("b", environment="test"))
    assert told.active() == ["a", "b"]
    assert held(told.run) == {"live", "test"}


def test_cells_of_one_deploy_are_one_deploy() -> None:
    told = story(ship(cells=("eu", "us")))
    assert told.active() == ["ship[eu]", "ship[us]"]


def test_it_stays_held_until_what_may_roll_it_back_has_ended() -> None:
    told = story(ship(), stage("warm", "ship"), check("warm"))
    told.ends("ship")
    assert held(told.run) == {"live"}
    told.ends("warm")
    assert held(told.run) == {"live"}
    told.ends("check")
    assert held(told.run) == frozenset()


def test_a_deploy_that_rolls_itself_back_holds_no_longer_than_others() -> None:
    told = story(ship(rollback="ship"), stage("after", "ship"))
    told.ends("ship")
    assert held(told.run) == frozenset()


def test_a_skipped_deploy_holds_nothing() -> None:
    told = story(ship(skip="not now"), check("ship"))
    assert told.active() == ["check"]
    assert held(told.run) == frozenset()


def test_what_must_be_held_together_is_taken_together() -> None:
    """Otherwise two runs could each hold what the other one waits for."""
    stages = (ship("eu", environment="eu"), ship("us", "eu", environment="us"), check("us", of="eu"))
    told = story(*stages)
    assert held(told.run) == {"eu", "us"}
    other = story(*stages, taken={"us": "r0"})
    assert (other.active(), held(other.run)) == ([], frozenset())
    assert awaited(other.run) == {"eu", "us"}
    assert other.run.stages["eu"].awaits == "us"


def test_what_is_not_bound_together_is_taken_one_by_one() -> None:
    told = story(ship("eu", environment="eu"), ship("us", "eu", environment="us"))
    assert held(told.run) == {"eu"}


def states(*stages: PlannedStage, taken: dict[str, str] | None = None) -> list[Run]:
    told = story(*stages, taken=taken)
    return [found for n in range(1, len(told.history) + 1) if (found := replay(told.history[:n])) is not None]


def test_the_store_learns_what_changes() -> None:
    created, waiting = states(ship(), taken={"live": "r0"})
    assert turns(None, created) == Turns()
    assert turns(created, waiting) == Turns(queued=("live",))
    started = replay(decide(waiting, FREE, waiting.created_at), waiting)
    assert started is not None
    change = turns(waiting, started)
    assert change == Turns(taken=("live",), unqueued=("live",))
    assert change.freed == ()
    assert Turns(given=("a",), unqueued=("b",), taken=("c",)).freed == ("a", "b")


def test_most_plans_have_nothing_to_ask_for() -> None:
    told = story(stage("lint"), stage("test", "lint"))
    assert of_plan(told.run.plan) == of_plan(None) == frozenset()
    assert not deploys(None, told.history)
    assert not turns(None, told.run)
    told = story(stage("lint"), ship("ship", "lint"))
    assert not deploys(None, told.history)
    before = told.run
    assert deploys(before, told.ends("lint"))


def test_the_event_says_which_run_holds_it() -> None:
    told = story(ship(), taken={"live": "r0"})
    last = told.history[-1]
    assert isinstance(last, EnvironmentAwaited)
    assert (last.stage, last.environment, last.held_by) == ("ship", "live", "r0")
