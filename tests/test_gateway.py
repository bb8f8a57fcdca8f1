"""The gateway's use case over an orchestrator in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.sdk import answers
from tests.core.building import a_plan, stage
from tests.test_orchestration import KEY, World
from turnout import gateway as g
from turnout.adapters.artifacts import FileArtifacts
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key
from turnout.core.envelope import open_record
from turnout.core.errors import PermanentError, TransientError, TurnoutError
from turnout.core.model import Outcome
from turnout.core.plan import Plan
from turnout.core.policy import gateway_token, pass_expiry, verify_token
from turnout.core.result import Artifact, Result
from turnout.core.topics import AGENT_LOGS, AGENT_RESULTS
from turnout.gateway import Announced, Answer, Beat, Chunk, Gateway, Limits, NotNow, NotWanted, Passes, Start

JOB, SECOND = "the session of one job", "the session of another"
PLAN = a_plan(stage("test", retries=1, secrets=("TOKEN",), environment="staging"))


class Bound:
    """Binds ``TOKEN`` and one that nobody names."""

    def resolve(self, project: str, environment: str, names: Sequence[str]) -> Mapping[str, str]:
        if missing := [name for name in names if name != "TOKEN"]:
            raise PermanentError(f"no value is bound for {missing}")
        return {"TOKEN": f"hunter2 of {project} {environment}", "OTHER": "never named"}


class House:
    """A world, its gateway, and what its topics bring back to the orchestrator when `settle` is called."""

    def __init__(self, folder: Path, plan: Plan = PLAN, **limits: Any) -> None:
        self.world = World(plan)
        self.world.push()
        self.artifacts = FileArtifacts(folder / "artifacts")
        self.gateway = Gateway(
            self.world.store,
            self.world.producer,
            self.artifacts,
            Bound(),
            self.world.clock,
            KEY,
            Limits(**limits),
            lambda task: g.CheckoutCredential(username="x-token", password=f"for {task.checkout.repository}"),
        )
        self._heard = 0

    @property
    def attempt(self) -> str:
        current = self.world.run().stages["test"].tasks["test"].current
        assert current is not None
        return current.id

    def token(self, attempt: str = "", lifetime: float = 3600) -> str:
        expires = self.world.clock.now() + timedelta(seconds=lifetime)
        return gateway_token(KEY, attempt or self.attempt, expires)

    def visit(self, session: str = JOB, attempt: str = "") -> g.Visit:
        attempt = attempt or self.attempt
        return self.gateway.enter(attempt, self.token(attempt), session)

    def settle(self) -> None:
        """The orchestrator takes what has been said so far."""
        said = [each for each in self.world.producer.records if each.topic == AGENT_RESULTS]
        for record in said[self._heard :]:
            self.world.orchestrator.handle(open_record(record))
        self._heard = len(said)

    def start(self, session: str = JOB) -> g.Visit:
        self.gateway.started(self.visit(session), Start(worker="job-1", sandbox="none"))
        self.settle()
        return self.visit(session)

    def finish(self, outcome: Outcome = Outcome.SUCCESS) -> None:
        self.gateway.finished(self.visit(), Answer(result=Result(outcome=outcome)))
        self.settle()

    def log(self) -> str:
        run = self.world.run()
        return self.artifacts.get(attempt_key(run.id, "test", 1)).decode()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def announced(content: bytes, name: str = "report.xml", **more: Any) -> Announced:
    known = {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return Announced.model_validate(known | more)


# --- the pass ---------------------------------------------------------------------------------------


def test_a_pass_opens_its_attempt_until_it_expires(house: House) -> None:
    token = house.token(lifetime=60)
    assert house.gateway.enter(house.attempt, token, JOB).attempt.id == house.attempt
    house.world.clock.forward(60)
    with pytest.raises(g.NoPass, match="expired"):
        house.gateway.enter(house.attempt, token, JOB)


def test_without_a_pass_with_a_forged_one_or_with_anothers_nobody_enters(house: House) -> None:
    with pytest.raises(g.NoPass):
        house.gateway.enter(house.attempt, "", JOB)
    task = house.world.producer.messages(m.TaskRequested)[0]
    later = house.token().split(".")
    later[1] = str(int(later[1]) + 9999)
    for wrong in ("v1.1.2", "\x00é", task.token, house.token("another-attempt"), ".".join(later)):
        with pytest.raises(g.WrongPass):
            house.gateway.enter(house.attempt, wrong, JOB)


def test_a_job_is_launched_with_a_pass_that_outlives_every_limit_and_with_nothing_else(house: House) -> None:
    (task,) = house.world.producer.messages(m.TaskRequested)
    passes = Passes("http://door", KEY, house.world.clock)
    given = passes.environment(task)
    assert set(given) == {"TURNOUT_GATEWAY_URL", "TURNOUT_ATTEMPT", "TURNOUT_ATTEMPT_TOKEN"}
    house.world.clock.forward(passes.timing.launch + task.timeout + passes.timing.cancel_grace)
    house.gateway.enter(task.attempt, given["TURNOUT_ATTEMPT_TOKEN"], JOB)
    assert task.token not in given.values()
    expires = pass_expiry(passes.timing, task.timeout, house.world.clock.now())
    house.world.clock.at = expires
    with pytest.raises(g.NoPass):
        house.gateway.enter(task.attempt, given["TURNOUT_ATTEMPT_TOKEN"], JOB)


def test_the_pass_of_an_attempt_that_has_ended_is_worth_nothing(house: House) -> None:
    house.start()
    first, token = house.attempt, house.token()
    house.finish(Outcome.FAILURE)
    assert house.attempt != first, "the pipeline tries again"
    with pytest.raises(NotWanted, match="ended: failure"):
        house.gateway.enter(first, token, JOB)
    assert house.visit().state == "waiting"


def test_an_attempt_that_nobody_launched_is_unknown(house: House) -> None:
    with pytest.raises(PermanentError, match="no attempt nobody"):
        house.visit(attempt="nobody")


def test_a_session_that_could_be_guessed_is_refused(house: House) -> None:
    with pytest.raises(PermanentError, match="Turnout-Session"):
        house.visit("short")


# --- the task ----------------------------------------------------------------------------------------


def test_the_task_is_given_without_what_would_let_its_reader_speak_on_the_topics(house: House) -> None:
    (task,) = house.world.producer.messages(m.TaskRequested)
    given = house.gateway.task(house.visit())
    assert "token" not in given
    assert m.TaskRequested.model_validate(given | {"token": ""}) == task.with_(token="")
    assert task.token not in str(given)


# --- starting ------------------------------------------------------------------------------------------


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


# --- secrets -----------------------------------------------------------------------------------------


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


# --- heartbeats ------------------------------------------------------------------------------------------


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


# --- the log ---------------------------------------------------------------------------------------------


def test_a_piece_of_the_log_that_comes_twice_or_overlaps_is_kept_once(house: House) -> None:
    visit = house.start()
    assert house.gateway.log(visit, Chunk(sequence=0, offset=0, text="äbc")) == {"have": 4}
    assert house.gateway.log(visit, Chunk(sequence=0, offset=0, text="äbc")) == {"have": 4}
    assert house.gateway.log(visit, Chunk(sequence=1, offset=3, text="cde")) == {"have": 6}
    with pytest.raises(g.Gap) as gap:
        house.gateway.log(visit, Chunk(sequence=2, offset=60, text="z"))
    assert gap.value.have == 6
    assert house.log() == "äbcde"


def test_a_log_is_bounded_in_its_pieces_its_whole_and_its_speed(tmp_path: Path) -> None:
    house = House(tmp_path, log=100_000, log_rate=10_000)
    visit = house.start()
    with pytest.raises(g.TooLarge, match="a piece"):
        house.gateway.log(visit, Chunk(sequence=0, offset=0, text="x" * (g.MAX_CHUNK + 1)))
    house.gateway.log(visit, Chunk(sequence=0, offset=0, text="x" * 40_000))
    with pytest.raises(g.TooMuch) as busy:
        house.gateway.log(visit, Chunk(sequence=1, offset=40_000, text="x" * 40_000))
    assert busy.value.retry_after == pytest.approx(4)
    house.world.clock.forward(4)
    house.gateway.log(visit, Chunk(sequence=1, offset=40_000, text="x" * 40_000))
    with pytest.raises(g.TooLarge, match="longer than 100000"):
        house.gateway.log(visit, Chunk(sequence=2, offset=80_000, text="x" * 20_001))
    assert len(house.log()) == 80_000


def test_a_log_is_kept_although_nobody_can_watch_it_live(house: House) -> None:
    visit = house.start()
    house.world.producer.away = True
    house.gateway.log(visit, Chunk(sequence=0, offset=0, text="kept"))
    assert house.log() == "kept"


# --- artifacts -------------------------------------------------------------------------------------------


def test_an_artifact_is_kept_where_the_attempts_artifacts_are(house: House) -> None:
    visit = house.start()
    content = b"<xml/>" * 1000
    key = attempt_key(visit.run.id, "test", 1, "reports/unit.xml")
    file = announced(content, "reports/unit.xml", media_type="application/xml")
    assert house.gateway.announce(visit, file) == {"key": key, "url": None}
    for _ in range(2):
        kept = house.gateway.upload(visit, file, [content[:10], content[10:]])
    assert kept == {"key": key, "size": len(content), "sha256": file.sha256}
    assert house.artifacts.get(key) == content


@pytest.mark.parametrize("came", [b"", b"12345678", b"1234567890", b"123456789012"])
def test_an_artifact_that_is_not_what_was_announced_is_not_kept(house: House, came: bytes) -> None:
    visit = house.start()
    file = announced(b"0987654321")
    with pytest.raises(PermanentError, match="not what was announced"):
        house.gateway.upload(visit, file, [came])
    assert list(house.artifacts.list("runs/")) == []


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a//b", "a/./b", "..", "log.txt", "a\nb", ".incoming/x", "x" * 256, "a/" + "ü" * 200],
)
def test_no_name_of_an_artifact_leads_elsewhere_or_over_the_log(house: House, name: str) -> None:
    with pytest.raises(PermanentError, match="no name for an artifact"):
        house.gateway.announce(house.start(), announced(b"x", name))


def test_artifacts_are_bounded_each_and_together_and_in_number(tmp_path: Path) -> None:
    house = House(tmp_path, artifact=100, artifacts=250, artifact_count=3)
    visit = house.start()
    with pytest.raises(g.TooLarge, match="at most 100"):
        house.gateway.upload(visit, announced(b"x" * 101), [b"x" * 101])
    for name in ("a", "b"):
        house.gateway.upload(visit, announced(b"x" * 100, name), [b"x" * 100])
    with pytest.raises(g.TooLarge, match="more than 250"):
        house.gateway.announce(visit, announced(b"x" * 51, "c"))
    house.gateway.upload(visit, announced(b"y" * 100, "b"), [b"y" * 100])  # once more, in its place
    house.gateway.upload(visit, announced(b"x", "c"), [b"x"])
    with pytest.raises(g.TooLarge, match="3 artifacts"):
        house.gateway.announce(visit, announced(b"x", "d"))


def test_a_result_that_names_anothers_artifact_is_refused(house: House) -> None:
    visit = house.start()
    own = attempt_key(visit.run.id, "test", 1, "")
    for key in ("runs/another/test/1/secret", f"{own}../2/x", f"{own}", "runs"):
        named = Artifact(name="x", key=key, size=1, sha256="0" * 64)
        with pytest.raises(PermanentError, match="not of this attempt"):
            house.gateway.finished(visit, Answer(result=Result(outcome=Outcome.SUCCESS, artifacts=(named,))))


# --- trouble ---------------------------------------------------------------------------------------------


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
