"""A worker is killed in the middle of its work, and started again: on a bus that crosses processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.sdk.hosts import Now
from tests.agents.sdk.resident_process import KINDS, bus
from tests.waiting import wait_until
from turnout.adapters.embedded_log.bus import EmbeddedBus
from turnout.adapters.store.schema import migrate
from turnout.core import messages as m
from turnout.core.envelope import open_record
from turnout.core.ids import attempt_id, message_id
from turnout.core.model import Outcome
from turnout.core.ports import Consumer
from turnout.core.topics import agent_topic


class Machine:
    """One home, one log, and workers that can be killed."""

    def __init__(self, home: Path, origin: tuple[Path, str]) -> None:
        home.mkdir()
        self.home = home
        self.origin, self.sha = origin
        migrate(f"sqlite:///{home}/turnout.db")
        self.bus: EmbeddedBus = bus(home)
        self.producer = self.bus.producer()
        self.tail: Consumer = self.bus.tail(["agent.results"], from_start=True)
        self.seen: dict[str, m.Message] = {}
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, name: str = "worker") -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.agents.sdk.resident_process", str(self.home), name],
            cwd=Path(__file__).parents[3],
        )
        self.workers.append(worker)
        return worker

    def ask(self, name: str, script: str, number: int = 1) -> None:
        known: dict[str, Any] = {
            "run": "run-1",
            "project": "app",
            "stage": name,
            "task": name,
            "agent": KINDS[0],
            "attempt": attempt_id("run-1", name, number),
            "number": number,
            "token": "t",
            "timeout": 60.0,
            "heartbeat": 1.0,
            "options": {"run": script},
            "checkout": {
                "repository": "o/n",
                "clone_url": str(self.origin),
                "sha": self.sha,
                "ref": "refs/heads/main",
            },
        }
        task = m.TaskRequested.model_validate(known)
        envelope = m.wrap(task, id=message_id(task.type, task.attempt), source="test", at=Now().now())
        self.producer.publish([envelope.to_record(agent_topic(KINDS[0]), task.attempt)])

    def finished(self) -> list[m.TaskFinished]:
        """In the order in which they were first said; a message said twice is one, as for every reader."""
        while records := self.tail.poll(0):
            for each in records:
                envelope = open_record(each.record)
                self.seen.setdefault(envelope.id, m.parse(envelope))
        return [each for each in self.seen.values() if isinstance(each, m.TaskFinished)]

    def wait_for(self, number: int) -> None:
        wait_until(lambda: len(self.finished()) >= number, 40)

    def outcomes(self) -> dict[str, list[tuple[Outcome, bool]]]:
        found: dict[str, list[tuple[Outcome, bool]]] = {}
        for each in self.finished():
            found.setdefault(each.task, []).append((each.result.outcome, each.result.lost))
        return found


pytestmark = pytest.mark.real  # nothing outside is needed, but time is


@pytest.fixture
def machine(origin: tuple[Path, str], tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "home", origin)
    yield made
    for each in made.workers:
        each.send_signal(signal.SIGTERM)
    for each in made.workers:
        each.wait(30)
    made.tail.close()
    made.producer.close()


def test_a_killed_worker_loses_what_it_ran_at_once_and_nothing_that_waited(
    machine: Machine, tmp_path: Path
) -> None:
    waiting = [f"waiting{number}" for number in range(5)]
    for name in ("a", "b"):
        machine.ask(name, f"echo ran >> {tmp_path}/{name}; sleep 60")
    first = machine.start()
    wait_until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists(), 40)
    for name in waiting:
        machine.ask(name, f"echo ran >> {tmp_path}/{name}")
    first.kill()
    first.wait()
    machine.start()
    wait_until(lambda: {"a", "b", *waiting} <= machine.outcomes().keys(), 40, "every attempt is answered")
    assert machine.outcomes()["a"] == machine.outcomes()["b"] == [(Outcome.ERROR, True)]
    for name in waiting:
        assert machine.outcomes()[name] == [(Outcome.SUCCESS, False)]
        assert (tmp_path / name).read_text() == "ran\n"
    # What was lost can be tried again, as an attempt of its own.
    machine.ask("a", f"echo again >> {tmp_path}/a", number=2)
    wait_until(lambda: len(machine.outcomes()["a"]) == 2, 40)
    assert (tmp_path / "a").read_text() == "ran\nagain\n"


def test_killed_again_and_again_every_attempt_is_answered_once_and_none_ran_twice(
    machine: Machine, tmp_path: Path
) -> None:
    names = [f"t{number}" for number in range(12)]
    for name in names:
        machine.ask(name, f"echo ran >> {tmp_path}/{name}; sleep 0.1")
    for enough in (1, 3, 5):
        worker = machine.start()
        machine.wait_for(enough)
        worker.kill()
        worker.wait()
    machine.start()
    wait_until(lambda: set(names) <= machine.outcomes().keys(), 60, "every attempt is answered")
    assert all(len(each) == 1 for each in machine.outcomes().values())
    for name in names:
        ran = (tmp_path / name).read_text() if (tmp_path / name).exists() else ""
        lost = machine.outcomes()[name] == [(Outcome.ERROR, True)]
        assert ran == "ran\n" or (ran == "" and lost)
