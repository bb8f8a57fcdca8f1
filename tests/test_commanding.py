from __future__ import annotations

from typing import Any

import pytest

from tests.core.building import CHANGE, a_plan, stage
from tests.test_orchestration import World
from turnout.commanding import Commands
from turnout.core import messages as m
from turnout.core.envelope import open_record
from turnout.core.errors import TransientError
from turnout.core.ids import run_id
from turnout.core.model import Outcome
from turnout.core.plan import Approval, Plan
from turnout.core.run import Run, StageStatus


class Desk:
    """A person beside a running system: what is asked goes over the bus to the orchestrator."""

    def __init__(self, plan: Plan) -> None:
        self.world = World(plan)
        self.commands = Commands(self.world.store, self.world.producer, self.world.clock)
        self.read = 0

    def deliver(self) -> None:
        """Hand over what has been published for the orchestrator."""
        while self.read < len(self.world.producer.records):
            record = self.world.producer.records[self.read]
            self.read += 1
            if record.topic == "pipeline.events":
                self.world.orchestrator.handle(open_record(record))

    def asked_run(self) -> Run:
        run = self.commands.request_run(CHANGE, "ada")
        self.deliver()
        return self.run(run)

    def run(self, run: str) -> Run:
        found = self.world.store.load(run)
        assert found is not None
        return found

    def ends(self, run: Run, task: str, outcome: Outcome = Outcome.SUCCESS) -> Run:
        current = next(each.current for _, each in self.run(run.id).tasks() if each.id == task)
        assert current is not None
        result = {"outcome": outcome}
        token = self.world.orchestrator._sign(current.id)
        done: dict[str, Any] = {"run": run.id, "task": task, "attempt": current.id, "token": token}
        self.world.hear(
            m.TaskFinished.model_validate({**done, "at": self.world.clock.now(), "result": result})
        )
        return self.run(run.id)


def test_a_person_asks_for_a_run_and_knows_its_id_before_it_is_there() -> None:
    desk = Desk(a_plan(stage("test")))
    run = desk.commands.request_run(CHANGE, "ada", pipeline_file="ci.yml")
    assert desk.world.store.load(run) is None
    (request,) = desk.world.producer.messages(m.RunRequested)
    assert (request.pipeline_file, request.delivery, run_id(request.trigger)) == ("ci.yml", "", run)
    assert desk.world.producer.records[0].key == CHANGE.repository
    desk.deliver()
    assert desk.run(run).requested_by == "ada"


def test_asking_twice_makes_two_runs() -> None:
    desk = Desk(a_plan(stage("test")))
    first = desk.asked_run()
    desk.world.clock.forward(0.001)
    assert desk.asked_run().id != first.id


def test_a_run_is_cancelled_by_whom_and_why() -> None:
    desk = Desk(a_plan(stage("test")))
    run = desk.asked_run()
    desk.commands.cancel(run, "ada", "wrong branch")
    desk.deliver()
    run = desk.ends(run, "test", Outcome.CANCELLED)
    assert (run.outcome, run.cancelled_by, run.reason) == (Outcome.CANCELLED, "ada", "wrong branch")


@pytest.mark.parametrize(
    ("verb", "status", "outcome"),
    [("approve", StageStatus.RUNNING, None), ("reject", StageStatus.FINISHED, Outcome.CANCELLED)],
)
def test_a_stage_that_waits_is_decided_on(verb: str, status: StageStatus, outcome: Outcome | None) -> None:
    desk = Desk(a_plan(stage("ship", approval=Approval())))
    run = desk.asked_run()
    getattr(desk.commands, verb)(run, "ship", "ada", "as agreed")
    desk.deliver()
    ship = desk.run(run.id).stages["ship"]
    assert (ship.status, ship.outcome) == (status, outcome)


@pytest.mark.parametrize(
    ("asked", "mode", "first"),
    [({}, "whole", "lint"), ({"failed": True}, "failed", "test"), ({"stage": "test"}, "stage", "test")],
)
def test_a_rerun_is_a_new_run_of_the_same_plan(asked: dict[str, Any], mode: str, first: str) -> None:
    desk = Desk(a_plan(stage("lint"), stage("test", "lint")))
    run = desk.asked_run()
    desk.ends(run, "lint")
    old = desk.ends(run, "test", Outcome.FAILURE)
    new = desk.commands.rerun(old, "ada", **asked)
    desk.deliver()
    again = desk.run(new)
    assert (again.rerun_of, again.rerun_mode, again.requested_by) == (old.id, mode, "ada")
    assert [task.id for _, task in again.tasks() if task.active] == [first]


def test_what_the_broker_did_not_take_is_kept_and_sent_later() -> None:
    desk = Desk(a_plan(stage("test")))
    desk.world.producer.away = True
    with pytest.raises(TransientError):
        desk.commands.request_run(CHANGE, "ada")
    desk.world.producer.away = False
    desk.world.clock.forward(10)
    desk.world.sweeper.sweep()
    desk.deliver()
    assert len(desk.world.store.runs()) == 1


def test_where_the_outbox_is_the_log_nothing_else_is_published() -> None:
    desk = Desk(a_plan(stage("test")))
    Commands(desk.world.store, None, desk.world.clock).request_run(CHANGE, "ada")
    assert desk.world.producer.records == []
    (row,) = desk.world.store.unpublished()
    assert row.record.topic == "pipeline.events"
