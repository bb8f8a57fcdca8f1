"""The gateway's use case over an orchestrator in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.sdk import answers
from tests.gateway.house import JOB, SECOND, House
from tests.test_orchestration import KEY
from turnout import gateway as g
from turnout.core import messages as m
from turnout.core.envelope import open_record
from turnout.core.errors import TransientError, TurnoutError
from turnout.core.model import Outcome
from turnout.core.policy import verify_token
from turnout.core.result import Result
from turnout.core.topics import AGENT_LOGS, AGENT_RESULTS
from turnout.gateway import Answer, Beat, Chunk, NotNow, NotWanted, Start


def test_the_task_is_given_without_what_would_let_its_reader_speak_on_the_topics(house: House) -> None:
    (task,) = house.world.producer.messages(m.TaskRequested)
    given = house.gateway.task(house.visit())
    assert "token" not in given
    assert m.TaskRequested.model_validate(given | {"token": ""}) == task.with_(token="")
    assert task.token not in str(given)


def test_the_start_that_is_recorded_first_counts_and_the_other_job_is_told_that_it_is_not_wanted(
    house: House,
) -> None:
    for session in (JOB, SECOND):
        assert house.gateway.started(house.visit(session), Start(worker="w")).state == "waiting"
    house.settle()
    assert [house.visit(each).standing.state for each in (JOB, SECOND)] == ["yours", "others"]
    for ask in (house.gateway.task, house.gateway.grants):
        with pytest.raises(NotWanted, match="another job"):
            ask(house.visit(SECOND))
    with pytest.raises(NotWanted):
        house.gateway.finished(house.visit(SECOND), Answer(result=Result(outcome=Outcome.FAILURE)))
    with pytest.raises(NotWanted):
        house.gateway.log(house.visit(SECOND), Chunk(sequence=0, offset=0, text="x"))
    attempts = house.world.run().stages["test"].tasks["test"].attempts
    assert len(attempts) == 1


def test_whoever_reads_the_record_of_a_start_cannot_pass_for_the_job(house: House) -> None:
    house.start()
    recorded = house.visit().attempt.worker
    assert JOB not in recorded
    assert house.visit(recorded).state == "others"
    assert house.visit(recorded.partition("~")[2]).state == "others"


def test_what_is_said_is_said_under_the_ids_of_a_resident_worker(house: House) -> None:
    (task,) = house.world.producer.messages(m.TaskRequested)
    visit = house.start()
    house.gateway.heartbeat(visit, Beat(number=3))
    house.gateway.log(visit, Chunk(sequence=7, offset=0, text="hello"))
    now, result = house.world.clock.now(), Result(outcome=Outcome.SUCCESS)
    house.gateway.finished(visit, Answer(result=result))
    worker = visit.attempt.worker
    expected = [
        answers.started(task, worker, now, "none"),
        answers.heartbeat(task, worker, now, 3),
        answers.log_chunk(task, now, 7, "hello"),
        answers.finished_record(answers.finished(task, worker, now, result), task.agent),
    ]
    said = [each for each in house.world.producer.records if each.topic in (AGENT_RESULTS, AGENT_LOGS)]
    assert said == expected
    assert all(
        verify_token(KEY, task.attempt, str(open_record(each).data["token"]))
        for each in said
        if each.topic == AGENT_RESULTS
    )


def test_said_again_and_again_a_start_and_a_result_count_once(house: House) -> None:
    for _ in range(3):
        house.gateway.started(house.visit(), Start(worker="w"))
    house.settle()
    visit = house.visit()
    for _ in range(3):
        house.gateway.finished(visit, Answer(result=Result(outcome=Outcome.SUCCESS)))
    house.settle()
    run = house.world.run()
    assert run.outcome is Outcome.SUCCESS
    assert "message_ignored" not in [each.event.kind for each in house.world.store.events(run.id)]


def test_secrets_are_handed_out_to_the_job_that_started_and_only_those_that_the_task_names(
    house: House,
) -> None:
    with pytest.raises(NotNow, match="not recorded"):
        house.gateway.grants(house.visit())
    given = house.gateway.grants(house.start())
    assert given == {
        "secrets": {"TOKEN": "hunter2 of acme/shop staging"},
        "credential": {"username": "x-token", "password": "for acme/shop"},
    }


def test_a_fork_is_given_no_secret_and_not_even_their_names(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = house.start()
    forked = visit.run.with_(change=visit.run.change.with_(fork=True))
    visit = g.Visit(forked, visit.task, visit.attempt, visit.agent, visit.mark)
    assert house.gateway.grants(visit)["secrets"] == {}
    assert house.gateway.task(visit)["secrets"] == []


def test_an_attempt_that_is_to_stop_is_given_no_secrets_any_more(house: House) -> None:
    house.start()
    house.world.hear(m.CancelRun(run=house.world.run().id, by="ada"))
    with pytest.raises(NotNow, match="to stop"):
        house.gateway.grants(house.visit())


def test_a_heartbeat_keeps_the_attempt_and_its_answer_says_when_to_stop(house: House) -> None:
    house.start()
    for number in range(20):
        house.world.clock.forward(10)
        assert house.gateway.heartbeat(house.visit(), Beat(number=number)).stop == ""
        house.settle()
        house.world.sweeper.sweep()
    house.world.hear(m.CancelRun(run=house.world.run().id, by="ada", reason="not needed"))
    assert "not needed" in house.gateway.heartbeat(house.visit(), Beat(number=20)).stop
    house.finish(Outcome.CANCELLED)
    with pytest.raises(NotWanted):
        house.visit()


def test_the_heartbeat_of_another_job_keeps_nothing_alive(house: House) -> None:
    house.start()
    before = len(house.world.producer.records)
    assert house.gateway.heartbeat(house.visit(SECOND), Beat(number=1)).state == "others"
    assert len(house.world.producer.records) == before


def test_a_lost_attempt_is_told_so(house: House) -> None:
    house.start()
    first = house.attempt
    house.world.clock.forward(100)
    house.world.sweeper.sweep()
    with pytest.raises(NotWanted, match="ended: error"):
        house.visit(attempt=first)


def test_while_the_bus_is_away_a_result_is_not_taken(house: House) -> None:
    visit = house.start()
    house.world.producer.away = True
    with pytest.raises(TransientError):
        house.gateway.finished(visit, Answer(result=Result(outcome=Outcome.SUCCESS)))


def test_who_asks_without_end_has_to_wait_and_others_do_not(tmp_path: Path) -> None:
    house = House(tmp_path, requests=10)

    def ask() -> None:
        for _ in range(41):
            house.visit()

    with pytest.raises(g.TooMuch) as busy:
        ask()
    assert busy.value.retry_after is not None
    house.world.clock.forward(busy.value.retry_after + 0.01)
    house.visit()
    assert isinstance(busy.value, TurnoutError)


def test_a_cancel_before_the_start_is_told_at_once_and_its_answer_is_taken(house: House) -> None:
    house.world.hear(m.CancelRun(run=house.world.run().id, by="ada"))
    assert house.visit().standing.stop
    house.finish(Outcome.CANCELLED)
    assert house.world.run().outcome is Outcome.CANCELLED
