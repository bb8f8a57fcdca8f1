"""One deploy per environment at a time, across runs: what the orchestrator and the store make of it together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.core.building import a_plan, stage
from tests.test_orchestration import World
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.store.schema import migrate
from turnout.adapters.store.sql_store import open_store
from turnout.core import messages as m
from turnout.core.ids import run_id
from turnout.core.model import Outcome
from turnout.core.plan import Approval
from turnout.core.ports import Commit, OutboxRow
from turnout.core.run import Run
from turnout.orchestration import GROUP_CHECK

LIVE = stage("ship", agent="deploy", environment="live")


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made = World(a_plan(LIVE))
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'turnout.db'}"
        migrate(url)
        made.use(open_store(url, embedded=False))
    return made


def push(world: World, *triggers: str) -> None:
    for trigger in triggers:
        world.clock.forward(1)
        world.push(trigger)


def active(world: World, *triggers: str) -> list[str]:
    return [t for t in triggers if any(task.active for _, task in world.run(t).tasks())]


def holder(world: World) -> str:
    row = world.store.environments("acme/shop", ["live"]).get("live")
    return row.holder if row else ""


def woken(world: World) -> list[str]:
    """Runs that were told that it is their turn; the message is handled as the bus would hand it over."""
    told = world.producer.messages(m.EnvironmentFree)
    world.producer.records.clear()
    for message in told:
        world.hear(message)
    return [message.run for message in told]


def test_a_second_run_waits_for_the_deploy_of_the_first_and_is_woken_by_its_end(world: World) -> None:
    push(world, "t1", "t2")
    assert active(world, "t1", "t2") == ["t1"]
    assert holder(world) == run_id("t1")
    assert world.run("t2").stages["ship"].held_by == run_id("t1")
    world.hear(world.finished("ship", trigger="t1"))
    assert woken(world) == [run_id("t2")]
    assert active(world, "t1", "t2") == ["t2"]
    world.hear(world.finished("ship", trigger="t2"))
    assert holder(world) == ""
    assert world.run("t2").outcome is Outcome.SUCCESS


def test_runs_take_turns_in_the_order_of_their_creation(world: World) -> None:
    push(world, "t1", "t2", "t3")
    order = []
    while current := active(world, "t1", "t2", "t3"):
        order += current
        world.hear(world.finished("ship", trigger=current[0]))
        woken(world)
    assert order == ["t1", "t2", "t3"]


def test_a_younger_run_does_not_overtake_one_whose_wake_up_call_was_lost(world: World) -> None:
    push(world, "t1", "t2")
    world.hear(world.finished("ship", trigger="t1"))
    push(world, "t3")
    assert active(world, "t2", "t3") == []
    assert world.run("t3").stages["ship"].held_by == run_id("t2")
    world.clock.forward(GROUP_CHECK.total_seconds() + 1)
    world.sweeper.sweep()
    assert active(world, "t2", "t3") == ["t2"]


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.CANCELLED, Outcome.TIMED_OUT, Outcome.ERROR])
def test_it_is_given_back_however_the_deploy_ends(world: World, outcome: Outcome) -> None:
    push(world, "t1", "t2")
    world.hear(world.finished("ship", outcome, trigger="t1"))
    woken(world)
    assert active(world, "t2") == ["t2"]


def test_it_is_given_back_when_the_deploy_was_lost_for_good(world: World) -> None:
    push(world, "t1", "t2")
    for _ in range(40):
        world.clock.forward(120)
        world.sweeper.sweep()
    assert world.run("t1").outcome is Outcome.ERROR
    assert holder(world) in ("", run_id("t2"))


def test_who_is_cancelled_while_it_waits_lets_the_next_one_go(world: World) -> None:
    push(world, "t1", "t2", "t3")
    world.hear(world.finished("ship", trigger="t1"))  # the call for t2 is lost
    world.producer.records.clear()
    world.hear(m.CancelRun(run=run_id("t2"), by="ann"))
    assert woken(world) == [run_id("t3")]
    assert active(world, "t2", "t3") == ["t3"]


def test_a_call_that_comes_too_early_or_twice_starts_nothing(world: World) -> None:
    push(world, "t1", "t2")
    free = m.EnvironmentFree(run=run_id("t2"), environment="live", after=run_id("t1"))
    world.hear(free)
    assert active(world, "t1", "t2") == ["t1"]
    world.hear(world.finished("ship", trigger="t1"))
    woken(world)
    world.hear(free)
    assert world.run("t2").stages["ship"].attempts == 1


def test_who_waits_for_people_holds_nothing(world: World) -> None:
    world.plan = a_plan(LIVE.with_(approval=Approval()))
    push(world, "t1")
    assert holder(world) == ""
    world.plan = a_plan(LIVE)
    push(world, "t2")
    assert active(world, "t2") == ["t2"]
    world.hear(m.Approve(run=run_id("t1"), stage="ship", by="ann"))
    assert active(world, "t1") == []
    world.hear(world.finished("ship", trigger="t2"))
    woken(world)
    assert active(world, "t1") == ["t1"]


def test_who_waits_is_looked_at_once_in_a_while_and_not_at_every_sweep(world: World) -> None:
    push(world, "t1", "t2")
    world.hear(world.started("ship"))
    looks = []
    for _ in range(10):
        world.clock.forward(3)
        world.hear(m.TaskHeartbeat(**heartbeat(world)))
        looks.append(run_id("t2") in world.store.due(world.clock.now()))
        world.sweeper.sweep()
    assert looks.count(True) == 2


def heartbeat(world: World) -> dict[str, Any]:
    said = world.started("ship")
    return {"run": said.run, "task": said.task, "attempt": said.attempt, "token": said.token, "at": said.at}


class Racing(MemoryStore):
    """Another run takes the environment in the moment before this one's commit."""

    def __init__(self) -> None:
        super().__init__()
        self.first: Run | None = None

    def commit(self, change: Commit) -> list[OutboxRow]:
        first, self.first = self.first, None
        if first is not None and change.turns.taken:
            self._holders[(first.project, "live")] = first.id
        return list(super().commit(change))


def test_of_two_that_take_it_at_once_the_slower_one_decides_again_and_waits() -> None:
    world = World(a_plan(stage("test"), stage("ship", "test", agent="deploy", environment="live")))
    store = Racing()
    world.use(store)
    push(world, "t1", "t2")
    store.first = world.run("t1")
    world.hear(world.finished("test", trigger="t2"))
    stage_ = world.run("t2").stages["ship"]
    assert (stage_.awaits, stage_.held_by, active(world, "t2")) == ("live", run_id("t1"), [])


class Counting(MemoryStore):
    asked = 0

    def environments(self, project: str, names: Any) -> Any:
        self.asked += 1
        return super().environments(project, names)


def test_a_step_that_deploys_nothing_asks_for_no_environment() -> None:
    world = World(a_plan(stage("lint"), stage("test", "lint"), LIVE.with_(needs=("test",))))
    store = Counting()
    world.use(store)
    push(world, "t1")
    world.hear(world.finished("lint"))
    world.hear(world.started("test"))
    assert store.asked == 0
    world.hear(world.finished("test"))
    assert store.asked == 1


CHECKED = (LIVE, stage("check", "ship", rollback="ship"))


def test_a_rollback_holds_the_environment_and_its_end_wakes_the_next_run(world: World) -> None:
    world.plan = a_plan(*CHECKED)
    push(world, "t1", "t2")
    world.hear(world.finished("ship", trigger="t1"))
    world.hear(world.finished("check", Outcome.FAILURE, trigger="t1"))
    assert woken(world) == []
    assert (holder(world), active(world, "t1", "t2")) == (run_id("t1"), ["t1"])
    world.hear(world.finished("ship[rollback]", trigger="t1"))
    assert world.run("t1").reason == "check ended as failure; ship was rolled back"
    assert woken(world) == [run_id("t2")]


def test_a_rollback_is_dispatched_once_whatever_comes_twice(world: World) -> None:
    world.plan = a_plan(*CHECKED)
    push(world, "t1")
    world.hear(world.finished("ship"))
    failed = world.finished("check", Outcome.FAILURE)
    for id in ("same", "same", "other"):
        world.hear(failed, id=id)
    undone = world.finished("ship[rollback]")
    asked = [each for each in world.producer.messages(m.TaskRequested) if each.rollback]
    assert [each.attempt for each in asked] == [undone.attempt]
    for id in ("undone", "undone", "again"):
        world.hear(undone, id=id)
    assert world.run("t1").outcome is Outcome.FAILURE
    kinds = [each.event.kind for each in world.store.events(run_id("t1"))]
    assert (kinds.count("rollback_started"), kinds.count("rollback_finished")) == (1, 1)


def test_a_rollback_whose_agent_has_died_is_tried_again(world: World) -> None:
    world.plan = a_plan(*CHECKED)
    push(world, "t1")
    world.hear(world.finished("ship"))
    world.hear(world.finished("check", Outcome.FAILURE))
    world.clock.forward(901)
    world.sweeper.sweep()
    world.hear(world.finished("ship[rollback]"))
    undone = world.run("t1").stages["ship"].rollback
    assert undone is not None
    assert [len(task.attempts) for task in undone.tasks.values()] == [2]
    assert undone.outcome is Outcome.SUCCESS
