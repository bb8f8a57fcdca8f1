"""What somebody can do who has an attempt's token, or who can write to a topic."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.core.building import a_plan, stage
from tests.test_orchestration import KEY, ONE, TWO, World
from turnout.core import messages as m
from turnout.core.envelope import Envelope
from turnout.core.errors import InvalidEnvelope, NotFound
from turnout.core.events import MessageIgnored
from turnout.core.model import Outcome
from turnout.core.plan import Approval
from turnout.core.policy import attempt_token
from turnout.core.result import Result
from turnout.core.run import RunStatus


def ignored(world: World) -> MessageIgnored:
    last = world.store.events(world.run().id)[-1].event
    assert isinstance(last, MessageIgnored)
    return last


# --- a token that leaked --------------------------------------------------------------------------------


def test_the_token_of_one_attempt_speaks_for_no_other() -> None:
    world = World(a_plan(stage("a"), stage("b")))
    world.push()
    of_a, of_b = world.finished("a"), world.finished("b")
    assert of_a.token != of_b.token
    world.hear(of_b.with_(token=of_a.token))
    assert ignored(world).reason == "its token is not the attempt's"
    assert world.run().stages["b"].outcome is None


def test_a_token_is_worth_nothing_once_its_attempt_has_ended() -> None:
    """Whoever finds one in a log of old, or in a backup of the store, finds one that has had its day."""
    world = World(ONE)
    world.push()
    first = world.finished("test", Outcome.FAILURE)
    world.hear(first)
    before = world.run().outcome
    world.hear(first.with_(result=Result(outcome=Outcome.SUCCESS)))
    assert "has ended already (failure)" in ignored(world).reason
    assert world.run().outcome is before


def test_a_token_cannot_be_made_without_the_servers_key() -> None:
    world = World(ONE)
    world.push()
    attempt = world.finished("test").attempt
    for guess in (attempt_token(b"", attempt), attempt_token(b"server", attempt), attempt, "", "0" * 64):
        world.hear(world.finished("test", token=guess or "-"))
        assert ignored(world).reason == "its token is not the attempt's"


def test_with_a_token_nothing_is_said_but_what_came_of_its_own_attempt() -> None:
    """No approval, no cancelling, no other run: those messages take no token, and come over another topic."""
    assert {each.type for each in m.ALL if "token" in each.model_fields} == {
        "turnout.task.started",
        "turnout.task.heartbeat",
        "turnout.task.finished",
        "turnout.task.requested",
    }


def test_a_stolen_token_of_a_living_attempt_is_believed() -> None:
    """NOT stopped: the bearer can say what came of that one attempt, once. The event says which worker it was."""
    world = World(ONE)
    world.push()
    forged = world.finished("test").with_(worker="thief")
    world.hear(forged)
    assert world.run().outcome is Outcome.SUCCESS
    named = [getattr(each.event, "worker", "") for each in world.store.events(world.run().id)]
    assert "thief" in named


# --- a record that was forged ---------------------------------------------------------------------------------


def test_a_forged_result_is_recorded_and_changes_nothing() -> None:
    world = World(TWO)
    world.push()
    before = world.run()
    world.hear(world.finished("lint", token="f0" * 32))
    after = world.run()
    assert after.stages == before.stages
    assert ignored(world).message == "turnout.task.finished"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"run": "r"},
        {"run": "r", "task": "t", "attempt": "a", "token": "t", "at": "now", "result": {}},
        {"x": []},
    ],
)
def test_a_record_that_is_no_message_is_refused_for_good(data: dict[str, Any]) -> None:
    world = World(ONE)
    world.push()
    before = world.run()
    envelope = world.envelope(m.CancelRun(run="r", by="b"))
    forged = Envelope(id="x", type="turnout.task.finished", source="/s", data=data, time=envelope.time)
    with pytest.raises(InvalidEnvelope):
        world.orchestrator.handle(forged)
    assert world.run() == before


def test_a_message_for_somebody_else_is_refused_for_good() -> None:
    world = World(ONE)
    world.push()
    (task,) = world.producer.messages(m.TaskRequested)
    with pytest.raises(InvalidEnvelope, match=r"turnout\.task\.requested is no message for the orchestrator"):
        world.hear(task)


def test_a_message_about_a_run_that_nobody_knows_is_refused_for_good() -> None:
    world = World(ONE)
    with pytest.raises(NotFound):
        world.hear(m.CancelRun(run="nobody", by="mallory"))


def test_a_record_that_is_played_again_changes_nothing() -> None:
    world = World(TWO)
    world.push()
    done = world.finished("lint")
    world.hear(done, "m-lint")
    before = world.run()
    assert world.orchestrator.handle(world.envelope(done, "m-lint")).duplicate
    assert world.run() == before
    world.hear(done, "another id")
    assert "has ended already" in ignored(world).reason
    assert world.run().stages == before.stages


def test_a_run_cannot_be_asked_for_twice_under_one_trigger() -> None:
    world = World(ONE)
    world.push("t1")
    world.hear(m.RunRequested(trigger="t1", change=world.run().change), "another id")
    assert ignored(world).reason == "the run exists already"
    assert len(world.producer.messages(m.TaskRequested)) == 1


def test_a_forged_heartbeat_keeps_nothing_alive() -> None:
    world = World(ONE)
    world.push()
    world.hear(world.started("test"))
    done = world.finished("test")
    for _ in range(20):
        world.clock.forward(5)
        beat = m.TaskHeartbeat(
            run=done.run, task="test", attempt=done.attempt, token="f", at=world.clock.now()
        )
        world.hear(beat)
    world.sweeper.sweep()
    attempts = next(iter(world.run().stages["test"].tasks.values())).attempts
    assert attempts[0].result is not None
    assert attempts[0].result.lost


def test_who_may_approve_is_asked_of_the_plan_and_not_of_the_message() -> None:
    world = World(a_plan(stage("ship", approval=Approval(required=1, by=("@org/release", "@ada")))))
    world.push()
    run = world.run().id
    for by, teams in (
        ("mallory", ()),
        ("org/release", ()),
        ("@org/release", ()),
        ("mallory", ("@org/releases",)),
    ):
        world.hear(m.Approve(run=run, stage="ship", by=by, teams=teams))
        assert "may not decide" in ignored(world).reason
    assert world.run().stages["ship"].outcome is None


def test_whoever_may_write_to_pipeline_events_is_believed() -> None:
    """NOT stopped: what is on that topic speaks for people and for GitHub. Only the broker's access rules keep others
    away from it, which docs/threat-model.md lists."""
    world = World(a_plan(stage("ship", approval=Approval(required=1, by=("@ada",)))))
    world.push()
    run = world.run().id
    world.hear(m.Approve(run=run, stage="ship", by="ada"))
    assert len(world.producer.messages(m.TaskRequested)) == 1
    world.hear(m.CancelRun(run=run, by="mallory"))
    assert world.run().status is RunStatus.CANCELLING


def test_time_in_a_message_decides_nothing() -> None:
    """A forged clock makes no attempt older or younger: the receiver's own clock counts."""
    world = World(ONE)
    world.push()
    started = world.started("test")
    world.hear(started.with_(at=started.at + timedelta(days=3650)))
    task = next(iter(world.run().stages["test"].tasks.values()))
    assert task.current is not None
    assert task.current.deadline is not None
    assert task.current.deadline < world.clock.now() + timedelta(days=1)
    assert KEY
