from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_until
from turnout.stack.lock import StackLock, held

OWNER = """
import sys, signal
from pathlib import Path
from turnout.stack.lock import StackLock
lock = StackLock(Path(sys.argv[1]))
print(lock.take(), flush=True)
signal.pause()
"""


def test_one_stack_holds_a_home(tmp_path: Path) -> None:
    first, second = StackLock(tmp_path), StackLock(tmp_path)
    assert not held(tmp_path)
    assert first.take()
    assert held(tmp_path)
    assert not second.take()
    first.drop()
    assert not held(tmp_path)
    assert second.take()
    second.drop()


def test_asking_whether_a_home_is_held_neither_makes_nor_takes_anything(tmp_path: Path) -> None:
    assert not held(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
    lock = StackLock(tmp_path / "home")
    assert not held(tmp_path / "home")
    assert lock.take()
    lock.drop()
    lock.drop()


def test_the_home_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    lock = StackLock(tmp_path / "deep" / "home")
    assert lock.take()
    assert (tmp_path / "deep" / "home").stat().st_mode & 0o077 == 0
    lock.drop()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_stack_that_is_killed_lets_go(tmp_path: Path, how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "True\n"
        assert held(tmp_path)
        assert not StackLock(tmp_path).take()
        os.kill(owner.pid, how)
        owner.wait(10)
        wait_until(lambda: not held(tmp_path), 10, "the lock is free")
        mine = StackLock(tmp_path)
        assert mine.take()
        mine.drop()
