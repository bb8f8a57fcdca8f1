from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.repositories import repository
from tests.agents.sdk.job_parts import said
from tests.waiting import wait_until
from turnout.adapters.claims import FileClaims
from turnout.core.errors import TransientError
from turnout.core.ids import attempt_id
from turnout.core.messages import TaskFinished, TaskRequested, TaskStarted
from turnout.core.model import Outcome
from turnout.runtimes.process import ProcessRuntime


class Launching:
    def __init__(self, home: Path, origin: Path) -> None:
        self.home = home
        self.origin = origin
        self.sha = repository(origin)
        self.launchers: list[ProcessRuntime] = []
        self.runtime = self.launcher()

    def launcher(self) -> ProcessRuntime:
        """Another process's launcher has its own claims, and no memory of ours."""
        made = ProcessRuntime(
            self.home,
            FileClaims(self.home / "claims"),
            parts="tests.agents.sdk.job_parts:parts",
            sandbox="none",
            environ={"PATH": os.environ["PATH"], "TURNOUT_HOME": str(self.home)},
        )
        self.launchers.append(made)
        return made

    def task(self, name: str, run: str, **more: Any) -> TaskRequested:
        known: dict[str, Any] = {
            "run": "run-1",
            "project": "app",
            "stage": name,
            "task": name,
            "agent": "shell",
            "attempt": attempt_id("run-1", name, 1),
            "number": 1,
            "token": "secret token",
            "timeout": 60.0,
            "heartbeat": 5.0,
            "options": {"run": run},
            "checkout": {
                "repository": "o/n",
                "clone_url": str(self.origin),
                "sha": self.sha,
                "ref": "refs/heads/main",
            },
        }
        return TaskRequested.model_validate(known | more)

    def finished(self) -> dict[str, TaskFinished]:
        return {each.task: each for each in said(self.home / "bus") if isinstance(each, TaskFinished)}

    def wait(self, task: str) -> TaskFinished:
        wait_until(lambda: task in self.finished(), 40, f"the result of {task}: {self.notes()}")
        return self.finished()[task]

    def notes(self) -> str:
        return "\n".join(each.read_text() for each in (self.home / "jobs").glob("*.log"))


@pytest.fixture
def launching(tmp_path: Path) -> Iterator[Launching]:
    made = Launching(tmp_path / "home", tmp_path / "origin")
    yield made
    wait_until(lambda: not any(each.living() for each in made.launchers), 40)


def test_a_launched_task_runs_in_a_process_of_its_own_and_answers(launching: Launching) -> None:
    task = launching.task("one", "cat README")
    assert launching.runtime.launch(task)
    finished = launching.wait("one")
    assert finished.result.outcome is Outcome.SUCCESS
    assert finished.token == "secret token"
    assert [type(each) for each in said(launching.home / "bus")][:1] == [TaskStarted]
    wait_until(lambda: launching.runtime.state(task.attempt).phase == "ended")
    wait_until(lambda: not list((launching.home / "jobs").iterdir()))
    log = launching.home / "artifacts/runs/run-1/one/1/log.txt"
    assert "hello" in log.read_text()


def test_launched_again_and_again_it_runs_once(launching: Launching, tmp_path: Path) -> None:
    task = launching.task("once", f"echo ran >> {tmp_path}/ran; sleep 0.3")
    launched = [launching.launcher().launch(task) for _ in range(3)]
    assert launched[0]
    launching.wait("once")
    assert not launching.runtime.launch(task)
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_launched_task_can_be_cancelled(launching: Launching, tmp_path: Path) -> None:
    task = launching.task("long", f"touch {tmp_path}/up; sleep 60")
    launching.runtime.launch(task)
    wait_until((tmp_path / "up").exists, 40)
    assert launching.runtime.state(task.attempt).phase == "running"
    launching.runtime.cancel(task.attempt)
    assert launching.wait("long").result.outcome is Outcome.CANCELLED


@pytest.mark.real  # nothing outside is needed, but time is
def test_a_task_cancelled_before_it_is_launched_does_not_start(launching: Launching) -> None:
    task = launching.task("never", "true")
    launching.runtime.cancel(task.attempt)
    launching.runtime.launch(task)
    assert launching.wait("never").result.outcome is Outcome.CANCELLED
    assert not [each for each in said(launching.home / "bus") if isinstance(each, TaskStarted)]


LAUNCHER = """
import sys
from collections.abc import Iterator
from pathlib import Path
from tests.runtimes.test_process import Launching
home, origin, mark = map(Path, sys.argv[1:])
launching = Launching(home, origin)
launching.runtime.launch(launching.task("survivor", f"touch {mark}; until [ -e {mark}.go ]; do sleep 0.02; done"))
print("launched", flush=True)
sys.stdin.read()
"""


@pytest.mark.real  # nothing outside is needed, but time is
def test_what_was_launched_outlives_a_killed_launcher(tmp_path: Path) -> None:
    mark = tmp_path / "up"
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(tmp_path / "home"), str(tmp_path / "origin"), str(mark)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == b"launched\n"
        wait_until(mark.exists, 40)
        launcher.send_signal(signal.SIGKILL)
    Path(f"{mark}.go").touch()
    bus = tmp_path / "home" / "bus"
    wait_until(lambda: [each for each in said(bus) if isinstance(each, TaskFinished)], 40)


@pytest.mark.real  # nothing outside is needed, but time is
def test_a_killed_job_is_spoken_for_by_the_next_one(launching: Launching, tmp_path: Path) -> None:
    task = launching.task("killed", f"touch {tmp_path}/up; sleep 60")
    launching.runtime.launch(task)
    wait_until((tmp_path / "up").exists, 40)
    for pid in launching.runtime.living():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: launching.runtime.state(task.attempt).reason == "its process is gone")
    assert not launching.runtime.launch(task)
    launching.runtime.launch(launching.task("next", "true"))
    result = launching.wait("killed").result
    assert (result.outcome, result.lost) == (Outcome.ERROR, True)


def test_a_disk_that_takes_nothing_is_said_and_can_be_tried_again(
    launching: Launching, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("turnout.runtimes.process.os.open", full)
    with pytest.raises(TransientError, match="No space left"):
        launching.runtime.launch(launching.task("later", "true"))
    assert not launching.runtime.living()
