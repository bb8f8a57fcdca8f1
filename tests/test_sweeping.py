from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from unittest.mock import Mock

import pytest

from tests.core.building import a_plan, stage
from tests.test_orchestration import World
from tests.test_redelivering import Rig
from tests.test_webhook import push
from turnout.adapters.github_payload import read_payload
from turnout.adapters.memory_books import MemoryBooks
from turnout.auditing import Auditing
from turnout.core import messages as m
from turnout.core.decider import DEAF_AT_MOST
from turnout.core.envelope import open_record
from turnout.core.errors import NotFound, TransientError
from turnout.core.events import AttemptFinished
from turnout.core.ids import run_id
from turnout.core.outgoing import FINISHED
from turnout.core.ports import ReportRow
from turnout.core.ports.ledger import LastAccount
from turnout.core.run import TaskStatus
from turnout.hearing import Hearing
from turnout.orchestration import Handled
from turnout.sweeping import (
    LOST_REPORT_AFTER,
    LOST_TASK_AFTER,
    LOST_TRIGGER_AFTER,
    PRUNE_EVERY,
    RECOVER_EVERY,
    Sweeper,
)
from turnout.webhook import Webhook, sign

NOTHING = {"done": 0, "resent": 0, "pruned": 0, "redelivered": 0, "scheduled": 0, "counted": 0}


def running() -> World:
    world = World(a_plan(stage("test")))
    world.push()
    return world


def tasks(world: World) -> list[str]:
    return [each.attempt for each in world.producer.messages(m.TaskRequested)]


def test_where_all_is_well_nothing_is_done() -> None:
    world = running()
    assert world.sweeper.sweep() == NOTHING
    world.clock.forward(1)
    assert world.sweeper.sweep() == NOTHING


def test_an_attempt_that_nobody_started_is_sent_again_as_it_was() -> None:
    world = running()
    first = world.producer.records[-1]
    world.clock.forward(LOST_TASK_AFTER.total_seconds() + 1)
    assert world.sweeper.sweep()["resent"] == 1
    again = world.producer.records[-1]
    assert len(tasks(world)) == 2
    assert len(set(tasks(world))) == 1
    assert dict(again.headers)["ce_id"] == dict(first.headers)["ce_id"]


def test_an_attempt_that_has_started_is_not_sent_again() -> None:
    world = running()
    world.hear(world.started("test"))
    world.clock.forward(25)
    world.sweeper.sweep()
    assert len(tasks(world)) == 1


def test_what_may_be_lost_is_looked_for_once_in_a_while_only() -> None:
    world = running()
    world.clock.forward(LOST_TASK_AFTER.total_seconds() + 1)
    found = [world.sweeper.sweep()["resent"] for _ in range(3)]
    world.clock.forward(RECOVER_EVERY.total_seconds())
    assert [*found, world.sweeper.sweep()["resent"]] == [1, 0, 0, 1]


def test_a_trigger_that_nobody_has_answered_is_sent_again() -> None:
    world = World(a_plan(stage("test")))
    body = json.dumps(push()).encode()
    headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "d1", "X-Hub-Signature-256": sign(b"k", body)}
    Webhook(world.store, world.producer, world.clock, (b"k",), read_payload).receive(headers, body)
    world.clock.forward(LOST_TRIGGER_AFTER.total_seconds() + 1)
    assert world.sweeper.sweep()["resent"] == 1
    first, again = world.producer.records
    assert again == first
    world.orchestrator.handle(open_record(again))
    world.clock.forward(RECOVER_EVERY.total_seconds())
    assert world.sweeper.sweep()["resent"] == 0


def ended() -> World:
    world = running()
    world.hear(world.finished("test"))
    return world


def ends_told(world: World) -> int:
    return sum(each.fact == FINISHED for each in world.producer.messages(m.ReportRequested))


def test_the_end_of_a_run_that_nobody_was_told_of_is_told_again() -> None:
    world = ended()
    world.clock.forward(LOST_REPORT_AFTER.total_seconds() + 1)
    assert world.sweeper.sweep()["resent"] == 1
    first, again = (r for r in world.producer.records if b'"fact":"finished"' in r.value)
    assert (again.key, again.value) == (first.key, first.value)
    assert dict(again.headers)["ce_id"] == dict(first.headers)["ce_id"]


CHANNELS = ("slack", "email", "github")


def known(world: World, *channels: str, status: str = "sent") -> None:
    for each in channels:
        world.store.record_report(ReportRow(world.run().id, each, FINISHED, status, "", 1, world.clock.now()))


def test_the_end_of_a_run_that_one_channel_does_not_know_of_is_told_again() -> None:
    world = ended()
    known(world, *CHANNELS[:2])
    world.clock.forward(LOST_REPORT_AFTER.total_seconds() + 1)
    assert world.sweeper.sweep()["resent"] == 1


@pytest.mark.parametrize("status", ["sent", "skipped", "failed"])
def test_the_end_of_a_run_that_every_channel_knows_of_is_not_told_again(status: str) -> None:
    world = ended()
    known(world, *CHANNELS, status=status)
    world.clock.forward(LOST_REPORT_AFTER.total_seconds() + 1)
    assert world.sweeper.sweep() == NOTHING
    assert ends_told(world) == 1


def test_a_run_that_was_told_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ended()
    known(world, *CHANNELS)
    world.clock.forward(LOST_REPORT_AFTER.total_seconds() + 1)
    world.sweeper.sweep()
    monkeypatch.setattr(world.store, "find_report", None)
    world.clock.forward(RECOVER_EVERY.total_seconds())
    assert world.sweeper.sweep() == NOTHING


def test_a_run_that_is_told_again_has_time_to_be_told() -> None:
    world = ended()
    world.clock.forward(LOST_REPORT_AFTER.total_seconds())
    found = []
    for _ in range(11):
        found.append(world.sweeper.sweep()["resent"])
        world.clock.forward(RECOVER_EVERY.total_seconds())
    assert found == [1, *[0] * 9, 1]


def test_where_the_outbox_is_the_log_nothing_is_told_again() -> None:
    world = ended()
    world.sweeper.orchestrator = replace(world.orchestrator, producer=None)
    world.clock.forward(LOST_REPORT_AFTER.total_seconds() + 1)
    assert world.sweeper.sweep() == NOTHING


def test_old_rows_are_forgotten_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(a_plan(stage("test")))
    asked: list[datetime] = []

    def prune(now: datetime) -> int:
        asked.append(now)
        return 3

    monkeypatch.setattr(world.store, "prune", prune)
    counts = []
    for _ in range(3):
        counts.append(world.sweeper.sweep()["pruned"])
        world.clock.forward(PRUNE_EVERY.total_seconds() / 2)
    assert counts == [3, 0, 3]


def overdue(world: World) -> None:
    """Two runs whose attempts nobody has started in time."""
    world.push("t1")
    world.push("t2")
    world.clock.forward(901)


def test_a_run_that_can_t_be_decided_on_keeps_no_other_from_being_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(a_plan(stage("test")))
    overdue(world)
    tick, pruned = world.orchestrator.tick, world.store.prune
    looked_at, done = [], []

    def broken(run: str) -> Handled:
        looked_at.append(run)
        if run == run_id("t1"):
            raise NotFound(f"no run {run}")
        return tick(run, heard=True)

    def prune(now: datetime) -> int:
        done.append(now)
        return pruned(now)

    monkeypatch.setattr(type(world.orchestrator), "tick", lambda _self, run, heard: broken(run))
    monkeypatch.setattr(world.store, "prune", prune)
    with pytest.raises(NotFound):
        world.sweeper.sweep()
    assert sorted(looked_at) == sorted([run_id("t1"), run_id("t2")])
    assert world.run("t2").stages["test"].attempts == 2
    assert done


def test_while_the_broker_is_away_the_sweeper_says_so_and_makes_it_good_later() -> None:
    world = World(a_plan(stage("test")))
    overdue(world)
    world.producer.away = True
    with pytest.raises(TransientError):
        world.sweeper.sweep()
    world.producer.away = False
    world.clock.forward(6)
    world.sweeper.sweep()
    for trigger in ("t1", "t2"):
        (task,) = [task for _, task in world.run(trigger).tasks()]
        assert task.status is TaskStatus.LAUNCHED
        assert task.current is not None
        assert task.current.number == 2
        assert task.current.id in tasks(world)


def silent_for_long(lease: float = 31.0) -> World:
    """An agent has started, and has said nothing for longer than its lease."""
    world = running()
    world.hear(world.started("test"))
    world.clock.forward(lease)
    return world


def lost(world: World) -> int:
    ends = [each.event for each in world.store.events(world.run().id)]
    return sum(isinstance(each, AttemptFinished) and each.result.lost for each in ends)


class Line:
    """To the bus."""

    away = False

    def ask(self) -> None:
        if self.away:
            raise TransientError("the broker is away")


def test_nobody_is_taken_for_lost_while_the_bus_is_away_nor_right_after() -> None:
    world, line = silent_for_long(), Line()
    world.sweeper.hearing = Hearing(line.ask, world.clock, timedelta(seconds=10))
    line.away = True
    world.sweeper.sweep()
    line.away = False
    world.clock.forward(5)
    world.sweeper.sweep()
    assert lost(world) == 0
    world.clock.forward(5)
    world.sweeper.sweep()
    assert lost(world) == 1


def test_nobody_is_taken_for_lost_right_after_the_store_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    world = silent_for_long()
    world.sweeper.hearing = Hearing(Line().ask, world.clock, timedelta(seconds=10))
    with monkeypatch.context() as away:
        away.setattr(world.store, "due", Mock(side_effect=TransientError("the store is away")))
        with pytest.raises(TransientError):
            world.sweeper.sweep()
    world.sweeper.sweep()
    assert lost(world) == 0
    world.clock.forward(10)
    world.sweeper.sweep()
    assert lost(world) == 1


def test_a_bus_that_stays_away_does_not_keep_a_lost_attempt_for_ever() -> None:
    world, line = silent_for_long(31.0 + DEAF_AT_MOST * 30), Line()
    world.sweeper.hearing = Hearing(line.ask, world.clock, timedelta(seconds=10))
    line.away = True
    world.sweeper.sweep()
    assert lost(world) == 1


def test_a_timer_takes_nobody_for_lost() -> None:
    world = silent_for_long()
    world.orchestrator.tick(world.run().id)
    assert lost(world) == 0
    world.sweeper.sweep()
    assert lost(world) == 1


def test_github_is_asked_once_in_a_while_and_the_ledger_kept() -> None:
    world = running()
    rig = Rig(world.clock)
    rig.hooks.send("lost", 502)
    books = MemoryBooks(rig.store)
    auditing = Auditing(books, rig.missed, world.clock)
    sweeper = Sweeper(
        world.orchestrator, world.store, world.clock, redelivering=rig.redelivering, auditing=auditing
    )
    assert sweeper.sweep()["redelivered"] == 1
    assert books.last() == LastAccount(world.clock.now(), 0, 1)
    pages = rig.hooks.pages
    world.clock.forward(1)
    assert sweeper.sweep() == NOTHING
    assert rig.hooks.pages == pages


def test_that_github_is_away_stops_no_sweep() -> None:
    world, rig = World(a_plan(stage("test", retries=1))), Rig()
    rig.hooks.away = TransientError("no answer")
    sweeper = Sweeper(world.orchestrator, world.store, world.clock, redelivering=rig.redelivering)
    assert sweeper.sweep() == NOTHING
    assert any(each.said for each in rig.missed.marks())
