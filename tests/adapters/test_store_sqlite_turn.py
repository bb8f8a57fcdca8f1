"""Turns between processes: here each `Turn` of the same database stands for one, since its files are its own."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_until
from turnout.adapters.store import sqlite_turn
from turnout.adapters.store.sqlite_turn import PATIENCE, WITHOUT, Turn

Make = Callable[[], Turn]

HOLDER = """
import sys, time
from pathlib import Path
from turnout.adapters.store.sqlite_turn import Turn
turn = Turn(Path(sys.argv[1]))
turn.take(10)
print("mine", flush=True)
time.sleep(60)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "t.db"
    path.touch()
    return path


@pytest.fixture
def make(database: Path) -> Iterator[Make]:
    made: list[Turn] = []

    def another() -> Turn:
        made.append(Turn(database))
        return made[-1]

    yield another
    for each in made:
        each.give()
        each.close()


def somebody_is_next(database: Path) -> bool:
    with database.with_name(f"{database.name}.next").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_one_has_the_turn_and_the_next_gets_it_when_it_is_given_up(make: Make) -> None:
    one, two = make(), make()
    one.take(5)
    got = threading.Event()

    def wait() -> None:
        two.take(5)
        got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: two._fetching, 5, "the other waits")
    assert not got.is_set()
    one.give()
    waiting.join(5)
    assert two._held
    assert got.is_set()


def test_who_has_just_had_its_turn_comes_after_one_who_waits(
    database: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_turn, "PATIENCE", 10)
    one, two = make(), make()
    order: list[str] = []
    one.take(5)

    def other() -> None:
        two.take(5)
        order.append("two")
        two.give()

    waiting = threading.Thread(target=other)
    waiting.start()
    wait_until(lambda: somebody_is_next(database), 5, "two is the next")
    one.give()
    one.take(5)
    order.append("one")
    one.give()
    waiting.join(5)
    assert order == ["two", "one"]


def test_nobody_waits_longer_than_asked_for_and_a_turn_that_comes_too_late_is_passed_on(make: Make) -> None:
    one, two, three = make(), make(), make()
    one.take(5)
    began = time.monotonic()
    two.take(0.01)
    assert time.monotonic() - began < 1
    assert not two._held
    one.give()
    wait_until(lambda: not two._fetching, 5, "it came, and nobody wanted it any more")
    three.take(5)
    assert three._held


def test_a_turn_that_did_not_come_is_done_without_for_a_while(make: Make) -> None:
    one, two = make(), make()
    one.take(5)
    two.take(5)
    assert not two._held
    began = time.monotonic()
    two.take(5)
    assert time.monotonic() - began < PATIENCE
    two._without_until -= WITHOUT
    one.give()
    two.take(5)
    assert two._held


def test_while_a_late_turn_is_on_its_way_nobody_takes_another_that_it_would_end(make: Make) -> None:
    one, two, three = make(), make(), make()
    one.take(5)
    two.take(0.01)
    two._without_until = 0.0
    threading.Timer(0.05, one.give).start()
    two.take(5)
    assert two._held
    three.take(0.05)
    assert not three._held, "two has it still"


def test_a_process_that_dies_in_its_turn_gives_it_back(database: Path, make: Make) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLDER, str(database)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "mine\n"
    mine = make()
    mine.take(0.01)
    assert not mine._held
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    mine._without_until = 0.0
    mine.take(5)
    assert mine._held


def test_a_fork_does_not_keep_the_turn_of_a_parent_that_has_given_it_up_or_died(
    database: Path, make: Make
) -> None:
    one, two = make(), make()
    one.take(5)
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover: the child's lines are not seen
        os.write(told, b"x")
        signal.pause()
        os._exit(0)
    os.read(ready, 1)
    one.leave()  # as the kernel does for a process that dies
    two.take(5)
    held = two._held
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(told)
    assert held


def test_where_there_can_be_no_turns_nobody_waits(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: int, _how: int) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    one, two = make(), make()
    began = time.monotonic()
    one.take(5)
    two.take(5)
    one.give()
    assert time.monotonic() - began < PATIENCE


def test_beside_a_database_that_is_not_there_nothing_is_made(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "none.db")
    turn.take(5)
    turn.close()
    assert list(tmp_path.iterdir()) == []
