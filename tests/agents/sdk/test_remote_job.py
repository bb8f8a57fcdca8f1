from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.sdk import remote_job
from agents.sdk.remote_client import GatewayClient
from agents.sdk.remote_room import room
from tests.agents.sdk.doors import Door
from tests.agents.sdk.hosts import agents
from tests.waiting import wait_until
from turnout.core import messages as m
from turnout.core.model import Outcome
from turnout.core.run import RunStatus


@contextmanager
def running(door: Door, home: Path) -> Iterator[list[bool]]:
    """A job in a thread; what its run has answered, once it has."""
    ran: list[bool] = []

    def work() -> None:
        ran.append(
            remote_job.run(
                door.a_pass(),
                home,
                sandbox="none",
                agents=agents(["shell", "keep"]),
                connect=lambda given: GatewayClient(given, door.way),
            )
        )

    thread = threading.Thread(target=work)
    thread.start()
    yield ran
    thread.join(60)
    assert not thread.is_alive()


def door_of(tmp_path: Path, origin: tuple[Path, str], run: str, **more: Any) -> Door:
    return Door(tmp_path, *origin, {"run": run}, **more)


@pytest.fixture(autouse=True)
def told_to_end(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """The job runs in a thread here, where no handler can be set: what SIGTERM would call."""
    handlers: list[Callable[[], None]] = []
    monkeypatch.setattr("agents.sdk.job.signal.signal", lambda _, handler: handlers.append(handler))
    return handlers


def test_a_job_does_its_attempt_through_the_gateway_alone(tmp_path: Path, origin: tuple[Path, str]) -> None:
    door = door_of(tmp_path, origin, "cat a.py; echo the token is $TOKEN", secrets=("TOKEN",))
    home = tmp_path / "home"
    with running(door, home) as ran:
        pass
    assert ran == [True]
    assert door.run.outcome is Outcome.SUCCESS, door.run.reason
    assert "a = 1" in door.log()
    assert "the token is ***" in door.log()
    assert [type(each) for each in (*door.said(m.TaskStarted), *door.said(m.TaskFinished))] == [
        m.TaskStarted,
        m.TaskFinished,
    ]
    assert {each.name for each in (home / "remote").iterdir()} == {".clearing"}
    assert list((home / "attempts").iterdir()) == []
    assert "hunter2" not in "".join(each.read_text() for each in home.rglob("*.json"))


def test_while_the_gateway_is_away_the_work_goes_on_and_nothing_of_it_is_lost(
    tmp_path: Path, origin: tuple[Path, str]
) -> None:
    mark, home = tmp_path / "up", tmp_path / "home"
    door = door_of(tmp_path, origin, f"touch {mark}; until [ -e {mark}.go ]; do sleep 0.02; done; echo late")
    with running(door, home) as ran:
        wait_until(mark.exists, 40)
        door.way.away = True
        Path(f"{mark}.go").touch()
        wait_until(lambda: list((home / "remote").glob("*/spool/*.json")), 20, "the result is on disk")
        assert not ran
        assert not door.run.finished
        door.way.deaf = 2  # and then what was done is not heard of
        door.way.away = False
    assert door.run.outcome is Outcome.SUCCESS
    assert door.log().count("late\n") == 1
    assert len(door.run.stages["unit"].tasks["unit"].attempts) == 1


def test_a_cancel_comes_with_the_answer_to_a_heartbeat(tmp_path: Path, origin: tuple[Path, str]) -> None:
    mark = tmp_path / "up"
    door = door_of(tmp_path, origin, f"touch {mark}; sleep 60")
    with running(door, tmp_path / "home"):
        wait_until(mark.exists, 40)
        door.cancel()
    assert door.run.outcome is Outcome.CANCELLED
    assert door.attempt.by == "agent"


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_platform_that_ends_a_job_has_cancelled_it_only_where_the_gateway_says_so(
    tmp_path: Path,
    origin: tuple[Path, str],
    told_to_end: list[Callable[[], None]],
    monkeypatch: pytest.MonkeyPatch,
    cancelled: bool,
) -> None:
    monkeypatch.setattr("agents.sdk.remote_job.Pulse.start", lambda _: None)  # no heartbeat tells it before
    mark = tmp_path / "up"
    door = door_of(tmp_path, origin, f"touch {mark}; sleep 60")
    with running(door, tmp_path / "home"):
        wait_until(mark.exists, 40)
        if cancelled:
            door.cancel()
        told_to_end[0]()
        wait_until(lambda: door.said(m.TaskFinished), 40)
    result = door.said(m.TaskFinished)[0].result
    assert (result.outcome, result.lost) == (
        (Outcome.CANCELLED, False) if cancelled else (Outcome.ERROR, True)
    )


def test_a_home_that_a_job_made_for_itself_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    shallow: list[object] = []

    def run(_given: object, home: Path, **more: object) -> bool:
        seen.append(home)
        shallow.append(more["shallow"])
        (home / "cache").mkdir()
        return True

    monkeypatch.setattr(remote_job, "run", run)
    monkeypatch.setattr(remote_job, "take_pass", lambda: None)
    monkeypatch.delenv("TURNOUT_HOME")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = os.umask(0o077)
    try:
        assert remote_job.main() == 0
        monkeypatch.setenv("TURNOUT_HOME", str(tmp_path))
        assert remote_job.main() == 0
    finally:
        os.umask(before)
    assert not seen[0].exists()
    assert seen[1] == tmp_path
    assert (tmp_path / "cache").exists(), "what it was given is for others, too"
    assert shallow == [True, False], "no history is fetched for nobody"


def test_an_attempt_that_was_cancelled_before_it_started_runs_nothing(
    tmp_path: Path, origin: tuple[Path, str]
) -> None:
    door = door_of(tmp_path, origin, f"touch {tmp_path}/ran")
    door.cancel()
    assert door.run.status is RunStatus.CANCELLING
    with running(door, tmp_path / "home"):
        pass
    assert door.run.outcome is Outcome.CANCELLED
    assert not (tmp_path / "ran").exists()


def test_of_two_jobs_of_one_attempt_one_runs_and_both_end_well(
    tmp_path: Path, origin: tuple[Path, str]
) -> None:
    door = door_of(tmp_path, origin, f"echo ran >> {tmp_path}/ran; sleep 0.2")
    with running(door, tmp_path / "home") as one, running(door, tmp_path / "home") as two:
        pass
    assert sorted([*one, *two]) == [False, True]
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert door.run.outcome is Outcome.SUCCESS


def test_what_a_killed_job_left_is_cleared_up_by_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / "remote" / "a1~abc"
    left.mkdir(parents=True)
    (left / "lock").touch()
    (tmp_path / "attempts/a1/checkout").mkdir(parents=True)
    with room(tmp_path, "a2") as mine:
        assert not left.exists()
        assert list((tmp_path / "attempts").iterdir()) == []
        with room(tmp_path, "a3"):
            assert mine.exists(), "it lives"
    assert not mine.exists()
