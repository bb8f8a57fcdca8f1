from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.core.building import CHANGE, START, a_plan, stage
from turnout.adapters.memory_store import MemoryStore
from turnout.core import messages as m
from turnout.core.envelope import Envelope, Record, open_record
from turnout.core.errors import Conflict, InvalidConfig, InvalidEnvelope, NotFound, Problem, TransientError
from turnout.core.events import MessageIgnored
from turnout.core.evolve import replay
from turnout.core.ids import run_id
from turnout.core.model import Outcome
from turnout.core.plan import Concurrency, NotTriggered, Plan
from turnout.core.policy import attempt_token
from turnout.core.ports import Commit, Delivery, OutboxRow, Store
from turnout.core.result import Result
from turnout.core.run import Run, RunStatus
from turnout.orchestration import Orchestrator, Planned
from turnout.sweeping import Sweeper

KEY = b"server key"


@dataclass
class FakeClock:
    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class FakeProducer:
    """``away``: the broker takes nothing."""

    records: list[Record] = field(default_factory=list)
    away: bool = False

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:
        if self.away:
            raise TransientError("the broker is away")
        self.records.extend(records)

    def close(self) -> None: ...

    def messages(self, kind: type[m.Message]) -> list[Any]:
        found = [m.parse(open_record(record)) for record in self.records]
        return [message for message in found if isinstance(message, kind)]


class World:
    """An orchestrator with everything around it in memory."""

    def __init__(self, plan: Plan | NotTriggered | Exception) -> None:
        self.plan = plan
        self.clock, self.producer = FakeClock(), FakeProducer()
        self.store: Store
        self.use(MemoryStore())
        self._count = 0

    def use(self, store: Store) -> None:
        self.store = store
        self.orchestrator = Orchestrator(store, self.producer, self.planner, self.clock, KEY)
        self.sweeper = Sweeper(self.orchestrator, store, self.clock)

    def planner(self, request: m.RunRequested) -> Planned:
        if isinstance(self.plan, Exception):
            raise self.plan
        return Planned("acme/shop", self.plan, request.change)

    def envelope(self, message: m.Message, id: str = "") -> Envelope:
        self._count += 1
        return m.wrap(message, id=id or f"m{self._count}", source="/test", at=self.clock.now())

    def hear(self, message: m.Message, id: str = "") -> Run | None:
        return self.orchestrator.handle(self.envelope(message, id)).run

    def push(self, trigger: str = "t1", delivery: str = "", **change: Any) -> Run | None:
        asked = m.RunRequested(trigger=trigger, change=CHANGE.with_(**change), delivery=delivery)
        return self.hear(asked, id=trigger)

    def run(self, trigger: str = "t1") -> Run:
        found = self.store.load(run_id(trigger))
        assert found is not None
        return found

    def finished(
        self, task: str, outcome: Outcome = Outcome.SUCCESS, trigger: str = "t1", token: str = ""
    ) -> m.TaskFinished:
        run = self.run(trigger)
        attempt = next(t.current.id for _, t in run.tasks() if t.id == task and t.current)
        return m.TaskFinished(
            run=run.id,
            task=task,
            attempt=attempt,
            token=token or attempt_token(KEY, attempt),
            at=self.clock.now(),
            result=Result(outcome=outcome),
        )

    def started(self, task: str) -> m.TaskStarted:
        done = self.finished(task)
        return m.TaskStarted(
            run=done.run, task=task, attempt=done.attempt, token=done.token, worker="w", at=self.clock.now()
        )


ONE = a_plan(stage("test", retries=1))
TWO = a_plan(stage("lint", agent="lint"), stage("test", "lint", agent="test"))


def test_a_push_becomes_a_run_whose_first_task_is_published() -> None:
    world = World(TWO)
    world.push()
    (task,) = world.producer.messages(m.TaskRequested)
    assert (task.stage, task.agent, task.number) == ("lint", "lint", 1)
    assert world.producer.records[-1].topic == "agent.lint"
    assert task.token == attempt_token(KEY, task.attempt)


def test_the_same_message_handled_twice_changes_nothing_the_second_time() -> None:
    world = World(ONE)
    world.push()
    before = world.run()
    assert world.orchestrator.handle(
        world.envelope(m.RunRequested(trigger="t1", change=CHANGE), "t1")
    ).duplicate
    assert world.run() == before
    assert len(world.producer.messages(m.TaskRequested)) == 1


def test_a_run_goes_through_its_stages_to_its_end() -> None:
    world = World(TWO)
    world.push()
    world.hear(world.started("lint"))
    world.hear(world.finished("lint"))
    world.hear(world.finished("test"))
    assert world.run().outcome is Outcome.SUCCESS
    facts = [message.fact for message in world.producer.messages(m.ReportRequested)]
    assert facts == ["started", "running:lint", "stage:lint", "running:test", "stage:test", "finished"]


def test_the_projection_equals_a_fold_of_the_events() -> None:
    world = World(TWO)
    world.push()
    world.hear(world.finished("lint", Outcome.FAILURE))
    run = world.run()
    assert replay([each.event for each in world.store.events(run.id)]) == run


def test_a_result_without_the_right_token_is_recorded_as_ignored() -> None:
    world = World(ONE)
    world.push()
    world.hear(world.finished("test", token="forged"))
    last = world.store.events(world.run().id)[-1].event
    assert isinstance(last, MessageIgnored)
    assert world.run().outcome is None


def test_when_the_broker_is_away_the_message_is_redelivered_and_then_published() -> None:
    world = World(ONE)
    world.producer.away = True
    with pytest.raises(TransientError):
        world.push()
    world.producer.away = False
    world.push()
    assert len(world.producer.messages(m.TaskRequested)) == 1


def test_the_sweeper_publishes_what_a_crash_left_behind() -> None:
    world = World(ONE)
    world.producer.away = True
    with pytest.raises(TransientError):
        world.push()
    world.producer.away = False
    world.clock.forward(10)
    assert world.sweeper.sweep()["done"] > 0
    assert len(world.producer.messages(m.TaskRequested)) == 1


def test_a_slower_writer_decides_again_on_what_the_faster_one_wrote() -> None:
    world = World(a_plan(stage("a"), stage("b"), stage("c", "a", "b")))
    world.push()
    done = world.finished("b")
    commit, once = world.store.commit, [True]

    def overtaken(change: Commit) -> Sequence[OutboxRow]:
        if once and change.inbox == "slow":
            once.clear()
            world.hear(done, "fast")
            raise Conflict("overtaken")
        return commit(change)

    world.store.commit = overtaken  # type: ignore[method-assign]  # a race, staged
    world.hear(world.finished("a"), "slow")
    assert world.run().stages["c"].status.value == "running"


def test_a_heartbeat_extends_the_lease_and_silence_ends_it() -> None:
    world = World(ONE)
    world.push()
    world.hear(world.started("test"))
    beat = world.started("test")
    for _ in range(5):
        world.clock.forward(20)
        world.hear(
            m.TaskHeartbeat(
                run=beat.run, task="test", attempt=beat.attempt, token=beat.token, at=world.clock.now()
            )
        )
        world.sweeper.sweep()
    assert world.run().stages["test"].attempts == 1
    world.clock.forward(31)
    world.sweeper.sweep()
    assert world.run().stages["test"].attempts == 2


def test_a_forged_heartbeat_does_not_keep_an_attempt_alive() -> None:
    world = World(ONE)
    world.push()
    world.hear(world.started("test"))
    beat = world.started("test")
    world.clock.forward(20)
    world.hear(
        m.TaskHeartbeat(run=beat.run, task="test", attempt=beat.attempt, token="no", at=world.clock.now())
    )
    world.clock.forward(11)
    world.sweeper.sweep()
    assert world.run().stages["test"].attempts == 2


def test_an_attempt_that_is_given_up_is_told_to_stop() -> None:
    world = World(ONE)
    world.push()
    world.hear(world.started("test"))
    first = world.started("test").attempt
    world.clock.forward(60)
    world.sweeper.sweep()
    assert [each.attempt for each in world.producer.messages(m.CancelTask)] == [first]


def test_a_broken_pipeline_file_makes_a_failed_run_that_is_reported() -> None:
    world = World(InvalidConfig([Problem("pipeline.yml", 3, 7, "pipeline.stages", "no", "yes")]))
    world.push()
    assert world.run().outcome is Outcome.FAILURE
    assert world.run().problems[0].line == 3
    assert [each.fact for each in world.producer.messages(m.ReportRequested)] == ["started", "finished"]


def test_a_remote_that_is_away_makes_no_run_and_the_message_is_redelivered() -> None:
    world = World(TransientError("the remote is away"))
    with pytest.raises(TransientError):
        world.push()
    assert world.store.load(run_id("t1")) is None
    world.plan = ONE
    world.push()
    assert world.run().status is RunStatus.RUNNING


def delivery(status: str = "published") -> Delivery:
    return Delivery("d1", "github", "push", "acme/shop", status, START, message="t1")


def test_a_delivery_that_asks_for_nothing_keeps_the_reason() -> None:
    world = World(NotTriggered(reason="on.push.branches: got 'x'"))
    world.store.receive(delivery())
    world.push(delivery="d1")
    (row,) = world.store.deliveries()
    assert (row.status, row.reason, row.run) == ("ignored", "on.push.branches: got 'x'", "")


def test_a_delivery_that_nobody_serves_keeps_the_reason() -> None:
    world = World(NotFound("no project serves acme/shop"))
    world.store.receive(delivery())
    world.push(delivery="d1")
    assert world.store.deliveries()[0].reason == "no project serves acme/shop"


def test_a_delivery_that_became_a_run_names_it() -> None:
    world = World(ONE)
    world.store.receive(delivery())
    world.push(delivery="d1")
    assert world.store.deliveries()[0].run == run_id("t1")


def test_a_newer_run_of_the_group_cancels_the_older() -> None:
    world = World(a_plan(stage("test"), concurrency=Concurrency(group="g", cancel_superseded=True)))
    world.push("t1")
    world.push("t2")
    (message,) = world.producer.messages(m.SupersedeRun)
    world.hear(message)
    assert world.run("t1").status is RunStatus.CANCELLING
    assert world.run("t2").status is RunStatus.RUNNING


def moved(number: int) -> dict[str, Any]:
    return {"sha": f"{number:040x}", "moved_at": START + timedelta(seconds=number)}


def test_a_run_that_comes_late_is_superseded_by_the_newer_one_that_was_there() -> None:
    world = World(a_plan(stage("test"), concurrency=Concurrency(group="main", cancel_superseded=True)))
    world.push("new", **moved(2))
    world.push("old", **moved(1))
    (told,) = world.producer.messages(m.SupersedeRun)
    assert (told.run, told.newer) == (run_id("old"), run_id("new"))
    world.hear(told)
    assert world.run("old").superseded_by == run_id("new")
    assert world.run("new").status is RunStatus.RUNNING


def test_nobody_deploys_over_what_is_newer_but_by_a_rerun() -> None:
    world = World(a_plan(stage("test"), stage("ship", "test", agent="deploy", environment="live")))
    world.push("old", **moved(1))
    world.push("new", **moved(2))
    for task in ("test", "ship"):
        world.hear(world.finished(task, trigger="new"))
    world.hear(world.finished("test", trigger="old"))
    late = world.run("old")
    assert late.finished
    assert late.stages["ship"].reason == f"run {run_id('new')} has deployed a newer main to live"
    world.push("newest", **moved(3))
    world.hear(world.finished("test", trigger="newest"))
    assert world.run("newest").stages["ship"].attempts == 1
    world.hear(world.finished("ship", Outcome.FAILURE, trigger="newest"))
    world.hear(m.RerunRun(trigger="again", run=late.id, mode="whole", by="ada"))
    world.hear(world.finished("test", trigger="again"))
    assert world.run("again").stages["ship"].attempts == 1


def serial() -> World:
    world = World(a_plan(stage("test"), concurrency=Concurrency(group="g")))
    world.push("t1")
    world.clock.forward(1)
    world.push("t2")
    return world


def test_runs_of_a_group_wait_for_each_other_and_are_let_go_in_turn() -> None:
    world = serial()
    assert world.run("t2").status is RunStatus.QUEUED
    world.hear(world.finished("test"))
    (message,) = world.producer.messages(m.ReleaseRun)
    world.hear(message)
    assert world.run("t2").status is RunStatus.RUNNING


def test_a_release_that_was_lost_is_made_good_by_the_sweeper() -> None:
    world = serial()
    world.hear(world.finished("test"))
    world.clock.forward(60)
    world.sweeper.sweep()
    assert world.run("t2").status is RunStatus.RUNNING


def test_the_sweeper_does_not_let_a_run_go_whose_turn_it_is_not() -> None:
    world = serial()
    world.clock.forward(16)
    world.sweeper.sweep()
    assert world.run("t2").status is RunStatus.QUEUED


def rerun(world: World, mode: str, **more: str) -> Run | None:
    asked = {"run": run_id("t1"), "trigger": "again", "mode": mode, "by": "ada", **more}
    return world.hear(m.RerunRun.model_validate(asked), id="again")


def failed_at_test() -> World:
    world = World(a_plan(stage("lint"), stage("test", "lint"), stage("ship", "test")))
    world.push()
    world.hear(world.finished("lint"))
    world.hear(world.finished("test", Outcome.FAILURE))
    assert world.run().outcome is Outcome.FAILURE
    return world


@pytest.mark.parametrize(
    ("mode", "more", "first"),
    [
        ("whole", {}, "lint"),
        ("failed", {}, "test"),
        ("stage", {"stage": "test"}, "test"),
    ],
)
def test_a_rerun_is_a_new_run_that_begins_where_it_was_asked_to(
    mode: str, more: dict[str, str], first: str
) -> None:
    world = failed_at_test()
    new = rerun(world, mode, **more)
    assert new is not None
    assert new.rerun_of == run_id("t1")
    assert [task.id for _, task in new.tasks() if task.active] == [first]


def test_a_rerun_of_one_stage_runs_no_other() -> None:
    world = failed_at_test()
    rerun(world, "stage", stage="test")
    world.hear(world.finished("test", trigger="again"))
    assert world.run("again").outcome is Outcome.SUCCESS
    assert world.run("again").stages["ship"].carried


def test_a_rerun_of_a_run_that_goes_on_is_refused() -> None:
    world = World(ONE)
    world.push()
    assert rerun(world, "whole") is None


def test_a_due_retry_is_launched_by_the_sweeper() -> None:
    from turnout.core.plan import Retries

    world = World(a_plan(stage("test", retry=Retries(max=1, backoff=10))))
    world.push()
    world.hear(world.finished("test", Outcome.FAILURE))
    world.clock.forward(5)
    world.sweeper.sweep()
    assert world.run().stages["test"].attempts == 1
    world.clock.forward(5)
    world.sweeper.sweep()
    assert world.run().stages["test"].attempts == 2


def test_the_process_is_told_when_a_run_falls_due() -> None:
    told: list[tuple[str, datetime]] = []
    world = World(ONE)
    world.orchestrator = Orchestrator(
        world.store,
        world.producer,
        world.planner,
        world.clock,
        KEY,
        on_due=lambda run, at: told.append((run, at)),
    )
    world.push()
    assert told == [(run_id("t1"), START + timedelta(seconds=900))]


def test_with_every_topic_wiped_what_is_not_finished_is_sent_again_with_the_same_ids() -> None:
    world = World(ONE)
    world.push()
    before = [r for r in world.producer.records if r.topic == "agent.script"]
    world.producer.records.clear()
    world.clock.forward(6 * 60)
    world.sweeper.sweep()
    again = [r for r in world.producer.records if r.topic == "agent.script"]
    assert [open_record(r).id for r in again] == [open_record(r).id for r in before]


def test_a_message_for_an_unknown_run_is_refused_for_good() -> None:
    with pytest.raises(NotFound):
        World(ONE).hear(m.CancelRun(run="nobody", by="ada"))


def test_a_message_that_is_not_for_the_orchestrator_is_refused_for_good() -> None:
    message = m.CancelTask(run="r", task="t", agent="lint", attempt="a", reason="x")
    with pytest.raises(InvalidEnvelope, match="no message for the orchestrator"):
        World(ONE).hear(message)
