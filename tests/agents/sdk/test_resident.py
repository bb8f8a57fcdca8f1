from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.sdk import answers
from agents.sdk.forkserver import ForkServer
from agents.sdk.orphans import leave_note
from agents.sdk.resident import Parts, ResidentAgents, serve
from agents.sdk.spool import Spooled
from tests.agents.sdk.hosts import BoundSecrets, Now, agents, said
from tests.waiting import wait_until
from turnout.adapters.artifacts import FileArtifacts
from turnout.adapters.claims import FileClaims
from turnout.adapters.memory_bus import Fault, MemoryBus
from turnout.adapters.memory_consumer import MemoryConsumer
from turnout.core import messages as m
from turnout.core.envelope import Record
from turnout.core.errors import PermanentError, Rebalanced
from turnout.core.ids import attempt_id, message_id
from turnout.core.model import Outcome, Runtime
from turnout.core.ports import Position
from turnout.core.result import Result
from turnout.core.topics import Topic, agent_topic

KINDS = ("shell", "quick")
TOPICS = (
    *(Topic(agent_topic(kind), "attempt id", 2, 60, "tasks") for kind in KINDS),
    Topic("agent.results", "run id", 2, 60, "results"),
    Topic("agent.logs", "attempt id", 2, 60, "logs"),
)


class Stack:
    """A bus, a home, and workers on it."""

    def __init__(self, home: Path, origin: tuple[Path, str], forks: ForkServer) -> None:
        self.home = home
        self.forks = forks
        self.origin, self.sha = origin
        self.bus = MemoryBus(TOPICS)
        self.producer = self.bus.producer()
        self.looking = FileClaims(home / "claims")

    @contextmanager
    def worker(self, name: str = "worker", home: Path | None = None, **more: Any) -> Iterator[ResidentAgents]:
        place = home or self.home
        claims = FileClaims(place / "claims")
        parts = Parts(
            self.bus,
            claims,
            FileArtifacts(place / "artifacts"),
            BoundSecrets({}),
            Now(),
            place,
            agents=agents(KINDS),
        )
        resident = ResidentAgents(
            parts,
            KINDS,
            worker=name,
            forks=self.forks,
            **{"sandbox": "none", "grace": 0.3, "slots": 2, "drain": 20.0, **more},
        )
        thread = serve(resident)
        try:
            yield resident
        finally:
            resident.stop()
            resident.stop()
            thread.join(30)
            claims.close()
            assert not thread.is_alive()

    def task(
        self, name: str, run: str = "true", *, number: int = 1, kind: str = "shell", **more: Any
    ) -> m.TaskRequested:
        known: dict[str, Any] = {
            "run": "run-1",
            "project": "app",
            "stage": name,
            "task": name,
            "agent": kind,
            "attempt": attempt_id("run-1", name, number),
            "number": number,
            "token": f"token of {name}",
            "timeout": 60.0,
            "heartbeat": 0.2,
            "options": {"run": run},
            "checkout": {
                "repository": "o/n",
                "clone_url": str(self.origin),
                "sha": self.sha,
                "ref": "refs/heads/main",
            },
        }
        return m.TaskRequested.model_validate(known | more)

    def ask(self, task: m.TaskRequested) -> None:
        self.producer.publish([self.record(task, task.agent, task.attempt)])

    def cancel(self, task: m.TaskRequested, reason: str = "not needed") -> None:
        order = m.CancelTask(
            run=task.run, task=task.task, agent=task.agent, attempt=task.attempt, reason=reason
        )
        self.producer.publish([self.record(order, task.agent, task.attempt)])

    def record(self, message: m.Message, kind: str, attempt: str) -> Record:
        identity = message_id(message.type, attempt)
        return m.wrap(message, id=identity, source="test", at=Now().now()).to_record(
            agent_topic(kind), attempt
        )

    def results(self) -> dict[str, Result]:
        """By task, with the number of the attempt where it isn't the first."""
        return {each.task: each.result for each in self.finished()}

    def finished(self) -> list[m.TaskFinished]:
        return [each for each in said(self.bus, "agent.results") if isinstance(each, m.TaskFinished)]

    def started(self) -> list[str]:
        return [each.task for each in said(self.bus, "agent.results") if isinstance(each, m.TaskStarted)]

    def wait(self, *tasks: str, timeout: float = 30) -> dict[str, Result]:
        wait_until(lambda: set(tasks) <= self.results().keys(), timeout, f"results of {tasks}")
        return self.results()

    def all_committed(self) -> bool:
        lags = [self.bus.lag(f"agents.{kind}", [agent_topic(kind)]) for kind in KINDS]
        return not any(value for lag in lags for value in lag.values())


@pytest.fixture
def stack(origin: tuple[Path, str], forks: ForkServer, tmp_path: Path) -> Stack:
    return Stack(tmp_path / "home", origin, forks)


def writes(path: Path, then: str = "true") -> str:
    """A script that leaves a line each time it runs, so that a test can count."""
    return f"echo ran >> {path}; {then}"


# --- tasks ------------------------------------------------------------------------------------------


def test_a_task_is_started_run_answered_and_committed(stack: Stack) -> None:
    task = stack.task("one", "echo hello")
    stack.ask(task)
    with stack.worker():
        assert stack.wait("one")["one"].outcome is Outcome.SUCCESS
        wait_until(stack.all_committed)
        wait_until(lambda: stack.looking.state(task.attempt) == "finished")
    messages = said(stack.bus, "agent.results")
    assert isinstance(messages[0], m.TaskStarted)
    assert messages[0].sandbox.startswith("no sandbox")
    assert messages[0].worker == "worker"
    assert {each.token for each in messages if isinstance(each, m.FromAttempt)} == {"token of one"}
    assert not list((stack.home / "attempts").iterdir())
    assert not list((stack.home / "spool").iterdir())


def test_no_more_run_at_once_than_there_are_slots_and_all_run(stack: Stack, tmp_path: Path) -> None:
    script = f"""
        mkdir {tmp_path}/running.$$; ls -d {tmp_path}/running.* | wc -l >> {tmp_path}/seen
        sleep 0.2; rmdir {tmp_path}/running.$$"""
    names = [f"t{number}" for number in range(6)]
    for name in names:
        stack.ask(stack.task(name, script))
    stack.ask(stack.task("other", kind="quick"))
    with stack.worker():
        stack.wait(*names, "other")
    seen = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert len(seen) == 6
    assert max(seen) <= 2


def test_a_task_that_comes_twice_runs_once(stack: Stack, tmp_path: Path) -> None:
    stack.bus.fail_publish(Fault.DUPLICATED)
    stack.ask(stack.task("twice", writes(tmp_path / "ran")))
    with stack.worker():
        stack.wait("twice")
        stack.ask(stack.task("twice", writes(tmp_path / "ran")))
        wait_until(stack.all_committed)
        stack.ask(stack.task("after"))
        stack.wait("after")
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_tasks_of_other_runtimes_and_what_is_no_task_are_passed_over(stack: Stack) -> None:
    stack.ask(stack.task("elsewhere", runtime=Runtime.DOCKER))
    stack.producer.publish([Record(agent_topic("shell"), "key", b"no envelope")])
    stack.ask(stack.task("here"))
    with stack.worker():
        stack.wait("here")
        wait_until(stack.all_committed)
    assert stack.started() == ["here"]


# --- cancelling ---------------------------------------------------------------------------------------


def test_a_running_attempt_is_cancelled(stack: Stack, tmp_path: Path) -> None:
    task = stack.task("long", writes(tmp_path / "up", "sleep 60"))
    stack.ask(task)
    with stack.worker():
        wait_until((tmp_path / "up").exists)
        stack.cancel(task, "superseded")
        result = stack.wait("long")["long"]
        wait_until(stack.all_committed)
    assert (result.outcome, result.reason) == (Outcome.CANCELLED, "superseded")


def test_an_attempt_that_waits_for_a_slot_is_cancelled_without_ever_starting(
    stack: Stack, tmp_path: Path
) -> None:
    stack.ask(stack.task("busy", writes(tmp_path / "up", f"until [ -e {tmp_path}/go ]; do sleep 0.02; done")))
    with stack.worker(slots=1):
        wait_until((tmp_path / "up").exists)
        waiting = stack.task("waiting", writes(tmp_path / "ran"))
        stack.ask(waiting)
        stack.cancel(waiting)
        assert stack.wait("waiting")["waiting"].outcome is Outcome.CANCELLED
        (tmp_path / "go").touch()
        assert stack.wait("busy")["busy"].outcome is Outcome.SUCCESS
        wait_until(stack.all_committed)
    assert stack.started() == ["busy"]
    assert not (tmp_path / "ran").exists()


def test_a_cancel_that_comes_to_another_worker_of_the_machine_is_seen_by_the_one_that_runs_it(
    stack: Stack, tmp_path: Path
) -> None:
    task = stack.task("long", writes(tmp_path / "up", "sleep 60"))
    stack.ask(task)
    with stack.worker("first"):
        wait_until((tmp_path / "up").exists)
        FileClaims(stack.home / "claims").cancel(task.attempt)
        assert stack.wait("long")["long"].outcome is Outcome.CANCELLED


def test_a_task_that_was_cancelled_before_it_came_does_not_start(stack: Stack) -> None:
    task = stack.task("late")
    stack.looking.cancel(task.attempt)
    stack.ask(task)
    with stack.worker():
        assert stack.wait("late")["late"].outcome is Outcome.CANCELLED
    assert stack.started() == []


# --- the fence ------------------------------------------------------------------------------------------


class Interfering(MemoryBus):
    """Does something right before a commit, once."""

    before_commit: Callable[[], None] | None = None

    def consumer(self, *arguments: Any, **more: Any) -> Any:
        made = super().consumer(*arguments, **more)
        commit = made.commit

        def interfere(positions: Any) -> None:
            act, self.before_commit = self.before_commit, None
            if act is not None:
                act()
            commit(positions)

        made.commit = interfere  # type: ignore[method-assign]
        return made


def test_who_loses_the_partition_before_the_commit_does_not_run_and_gives_the_claim_back(
    stack: Stack, tmp_path: Path
) -> None:
    bus = Interfering(TOPICS)
    stack.bus, stack.producer = bus, bus.producer()
    task = stack.task("moved", writes(tmp_path / "ran"))
    states: list[str] = []

    def lose() -> None:
        states.append(stack.looking.state(task.attempt))
        bus.rebalance("agents.shell")

    bus.before_commit = lose
    stack.ask(task)
    with stack.worker():
        assert stack.wait("moved")["moved"].outcome is Outcome.SUCCESS
        wait_until(stack.all_committed)
    assert states == ["claimed"]
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert stack.started() == ["moved"]  # said twice, with one id


def test_two_workers_share_the_tasks_and_each_runs_once(stack: Stack, tmp_path: Path) -> None:
    names = [f"t{number}" for number in range(8)]
    with stack.worker("a"), stack.worker("b"):
        for name in names:
            stack.ask(stack.task(name, writes(tmp_path / name)))
        wait_until(stack.started)
        stack.bus.rebalance("agents.shell")
        stack.wait(*names)
        wait_until(stack.all_committed)
    assert [(tmp_path / name).read_text() for name in names] == ["ran\n"] * 8


def test_a_task_waits_while_another_worker_is_about_to_start_it(stack: Stack, tmp_path: Path) -> None:
    task = stack.task("held", writes(tmp_path / "ran"))
    other = FileClaims(stack.home / "claims")
    other.claim(task.attempt, "other")
    stack.ask(task)
    stack.ask(stack.task("quick", kind="quick"))
    with stack.worker():
        stack.wait("quick")
        assert stack.started() == ["quick"]
        other.release(task.attempt)  # the other one lost the partition
        stack.wait("held")
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_nothing_runs_before_the_bus_has_acknowledged_that_it_started(stack: Stack, tmp_path: Path) -> None:
    away = threading.Event()

    def fault(records: Any) -> Fault | None:
        return Fault.LOST if away.is_set() and records[0].topic == "agent.results" else None

    stack.bus.on_publish = fault
    away.set()
    task = stack.task("patient", writes(tmp_path / "ran"))
    stack.ask(task)
    with stack.worker():
        wait_until(lambda: (stack.home / "attempts" / task.attempt / "task.json").exists())
        wait_until(lambda: stack.looking.state(task.attempt) == "free")
        assert not (tmp_path / "ran").exists()
        away.clear()
        stack.wait("patient")
    assert (tmp_path / "ran").read_text() == "ran\n"


# --- deaths -------------------------------------------------------------------------------------------------


def orphan(stack: Stack, task: m.TaskRequested) -> None:
    """What a worker that was killed while the attempt ran leaves behind."""
    dead = FileClaims(stack.home / "claims")
    dead.claim(task.attempt, "dead")
    leave_note(stack.home, "dead", task)
    dead.running(task.attempt)
    dead.close()


def test_the_next_worker_says_at_once_what_the_dead_one_cannot(stack: Stack, tmp_path: Path) -> None:
    task = stack.task("orphan", writes(tmp_path / "ran"))
    orphan(stack, task)
    stack.ask(task)  # its position had not been committed
    with stack.worker("next"):
        result = stack.wait("orphan")["orphan"]
        wait_until(stack.all_committed)
        wait_until(lambda: stack.looking.state(task.attempt) == "finished")
    assert (result.outcome, result.lost) == (Outcome.ERROR, True)
    assert "the worker dead died" in result.reason
    assert stack.finished()[0].token == "token of orphan"
    assert not (tmp_path / "ran").exists()
    assert not list((stack.home / "attempts").iterdir())


def test_work_that_was_done_before_the_worker_died_is_not_lost(stack: Stack) -> None:
    task = stack.task("done")
    orphan(stack, task)
    done = answers.finished(task, "dead", Now().now(), Result(outcome=Outcome.SUCCESS, summary="all done"))
    (stack.home / "spool").mkdir()
    (stack.home / "spool" / f"{task.attempt}.json").write_text(
        Spooled(agent="shell", message=done).model_dump_json()
    )
    with stack.worker("next"):
        assert stack.wait("done")["done"].summary == "all done"
        wait_until(lambda: stack.looking.state(task.attempt) == "finished")
    assert len(stack.finished()) == 1


def test_a_result_waits_until_the_bus_takes_it(stack: Stack, tmp_path: Path) -> None:
    task = stack.task("kept", writes(tmp_path / "up"))
    refused = 0

    def fault(records: Any) -> Fault | None:
        nonlocal refused
        finished = any(b"turnout.task.finished" in value for record in records for _, value in record.headers)
        if finished and refused < 2:
            refused += 1
            return Fault.LOST
        return None

    stack.bus.on_publish = fault
    stack.ask(task)
    with stack.worker():
        wait_until(lambda: refused == 1)
        assert (stack.home / "spool" / f"{task.attempt}.json").exists()
        assert stack.looking.state(task.attempt) == "running"
        stack.wait("kept")
    assert refused == 2


# --- stopping -------------------------------------------------------------------------------------------------


def test_a_stopped_worker_lets_its_attempts_end_and_takes_nothing_new(stack: Stack, tmp_path: Path) -> None:
    stack.ask(
        stack.task("running", writes(tmp_path / "up", f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"))
    )
    with ExitStack() as stacked:
        resident = stacked.enter_context(stack.worker(slots=1))
        wait_until((tmp_path / "up").exists)
        stack.ask(stack.task("new"))
        resident.stop()
        wait_until(lambda: not any(t.name.startswith("agents.") for t in threading.enumerate()))
        (tmp_path / "go").touch()
        assert stack.wait("running")["running"].outcome is Outcome.SUCCESS
    assert "new" not in stack.started()
    with stack.worker(slots=1):
        assert stack.wait("new")["new"].outcome is Outcome.SUCCESS


def test_what_has_not_ended_when_the_drain_is_over_is_lost_and_can_be_tried_again(
    stack: Stack, tmp_path: Path
) -> None:
    stack.ask(stack.task("long", writes(tmp_path / "up", "sleep 60")))
    began = time.monotonic()
    with stack.worker(drain=0.2) as resident:
        wait_until((tmp_path / "up").exists)
        resident.stop()
        result = stack.wait("long")["long"]
    assert (result.outcome, result.lost) == (Outcome.ERROR, True)
    assert "stopped" in result.reason
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("refused", [1, 2])
def test_a_task_whose_commit_is_refused_while_its_partition_stays_is_started_later(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    """As when a group is shared out anew and gives this worker the same partitions: nobody reads them again."""
    commit, left = MemoryConsumer.commit, [refused]

    def refusing(consumer: MemoryConsumer, positions: Sequence[Position]) -> None:
        if positions and left[0]:
            left[0] -= 1
            raise Rebalanced("the group is shared out anew")
        commit(consumer, positions)

    monkeypatch.setattr(MemoryConsumer, "commit", refusing)
    monkeypatch.setattr("agents.sdk.consuming.AGAIN", 0.05)
    order = m.CancelTask(run="run-1", task="gone", agent="shell", attempt="gone", reason="not needed")
    stack.producer.publish([stack.record(order, "shell", "gone")])
    task = stack.task("kept")
    stack.ask(task)
    with stack.worker():
        assert stack.wait("kept")["kept"].outcome is Outcome.SUCCESS
        topics = [agent_topic("shell")]
        wait_until(lambda: not any(stack.bus.lag("agents.shell", topics).values()), 20, "all is committed")
    assert left == [0]


def test_a_second_worker_of_the_same_name_makes_the_first_one_end_with_an_error(stack: Stack) -> None:
    claims = FileClaims(stack.home / "claims")
    parts = Parts(
        stack.bus,
        claims,
        FileArtifacts(stack.home),
        BoundSecrets({}),
        Now(),
        stack.home,
        agents=agents(KINDS),
    )
    first = ResidentAgents(parts, KINDS, worker="same", sandbox="none", forks=stack.forks)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            first.run()
        except PermanentError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    stack.ask(stack.task("one"))
    stack.wait("one")
    with stack.worker("same"):
        stack.ask(stack.task("two"))
        thread.join(30)
    assert "same" in str(failed[0])
