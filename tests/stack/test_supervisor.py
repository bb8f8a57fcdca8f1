from __future__ import annotations

import os
import re
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from tests.stack.supervised import Supervised, alive
from tests.waiting import wait_until
from turnout.stack.supervisor import ready_from_environment


def test_parts_are_ready_when_they_say_so_and_stop_in_order_each_after_the_ones_before(
    tmp_path: Path,
) -> None:
    with Supervised(tmp_path, "third", "second", "first") as running:
        assert running.notes("", "ready")[0]["late"] == []
        assert set(running.pids()) == {"first", "second", "third"}
        running.signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
        stops = [
            (each["part"], each["what"])
            for each in running.notes()
            if each["what"] in ("told to stop", "drained")
        ]
    assert stops == [
        ("first", "told to stop"),
        ("first", "drained"),
        ("second", "told to stop"),
        ("second", "drained"),
        ("third", "told to stop"),
        ("third", "drained"),
    ]


def test_a_part_that_dies_is_started_again_and_its_new_pid_is_told(tmp_path: Path) -> None:
    with Supervised(tmp_path, "first", "second") as running:
        before = running.pids()
        os.kill(before["first"], signal.SIGKILL)
        running.noted("first", "started", times=2)
        wait_until(lambda: running.pids()["first"] != before["first"], 10, "the new pid")
        assert running.pids()["second"] == before["second"]
        assert "SIGKILL" in (tmp_path / "log").read_text()


def test_a_part_that_dies_while_it_comes_up_is_waited_for(tmp_path: Path) -> None:
    with Supervised(tmp_path, "second_try", "first") as running:
        assert running.notes("", "ready")[0]["late"] == []
        assert len(running.notes("second_try", "started")) == 2


def test_a_part_that_keeps_crashing_is_started_again_ever_more_slowly(tmp_path: Path) -> None:
    with Supervised(tmp_path, "crashing", wait=0) as running:
        running.noted("crashing", "started", times=5)
    log = (tmp_path / "log").read_text()
    lines = [each for each in log.splitlines() if "started again" in each]
    waits = [float(each[1]) for line in lines if (each := re.search(r'"after": ([0-9.]+)', line))]
    assert len(waits) >= 4
    for before, waited in pairwise(waits):
        assert waited > before or waited == 0.0  # on a slow machine it may have lived for a while
    assert max(waits) >= 0.2
    assert "on purpose" in log


def test_a_part_that_has_lived_for_a_while_is_started_again_at_once(tmp_path: Path) -> None:
    with Supervised(tmp_path, "unlucky") as running:
        running.noted("unlucky", "started", times=6)
        delays = [line for line in (tmp_path / "log").read_text().splitlines() if "started again" in line]
    assert len(delays) >= 5
    assert all('"after": 0.0' in line for line in delays[:5])


def test_a_part_that_can_t_be_executed_or_never_is_ready_is_named_and_harms_no_other(tmp_path: Path) -> None:
    with Supervised(tmp_path, "missing", "late", "first", wait=0.5) as running:
        assert {"missing", "late"} <= set(running.notes("", "ready")[0]["late"])
        assert alive(running.pids()["first"])
        assert "No such file" in (tmp_path / "log").read_text()


def test_a_command_says_that_it_is_ready_too(tmp_path: Path) -> None:
    with Supervised(tmp_path, "executed") as running:
        assert running.notes("", "ready")[0]["late"] == []
        (executed,) = running.notes("executed", "executed")
        assert (executed["pid"], executed["lives_in"]) == (running.pids()["executed"], str(tmp_path))
        running.signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
        assert running.notes("executed", "drained")


def test_a_part_that_does_not_drain_in_time_is_killed(tmp_path: Path) -> None:
    with Supervised(tmp_path, "hurried") as running:
        running.signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
        assert running.notes("hurried", "told to stop")
        assert not alive(running.pids()["hurried"])


def test_the_second_interrupt_kills_what_does_not_drain(tmp_path: Path) -> None:
    with Supervised(tmp_path, "stubborn") as running:
        running.signal(signal.SIGINT)
        running.noted("stubborn", "told to stop")
        assert running.process.poll() is None
        running.signal(signal.SIGINT)
        assert running.process.wait(30) == 0
        assert not alive(running.pids()["stubborn"])


def test_a_closed_terminal_drains_as_well(tmp_path: Path) -> None:
    with Supervised(tmp_path, "third") as running:
        running.signal(signal.SIGHUP)
        assert running.process.wait(30) == 0
        assert running.notes("third", "drained")


def test_when_the_supervisor_is_killed_its_parts_end_by_themselves(tmp_path: Path) -> None:
    with Supervised(tmp_path, "first", "executed") as running:
        pids = running.pids()
        running.signal(signal.SIGKILL)
        running.process.wait(10)
        wait_until(lambda: not any(alive(pid) for pid in pids.values()), 20, "the end of the parts")
        assert running.notes("first", "drained")
        assert running.notes("executed", "drained")


def test_parts_get_their_signals_as_if_nobody_had_masked_them(tmp_path: Path) -> None:
    with Supervised(tmp_path, "telling") as running:
        (told,) = running.notes("telling", "told")
        assert (told["blocked"], told["handled"]) == ([], [])
        assert told["death"] == signal.SIGTERM
        assert told["group"] == told["pid"] != os.getpgid(running.process.pid)


def test_a_stop_while_parts_still_come_up_ends_them_too(tmp_path: Path) -> None:
    class Impatient(Supervised):
        def up(self) -> None:
            self.noted("late", "started")

    with Impatient(tmp_path, "late", wait=60) as running:
        running.signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
        assert running.notes("late", "drained")


def test_where_nobody_waits_saying_ready_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TURNOUT_READY_FD", raising=False)
    ready_from_environment()()
    reading, writing = os.pipe()
    monkeypatch.setenv("TURNOUT_READY_FD", str(writing))
    ready_from_environment()()
    assert os.read(reading, 10) == b"\n"
    assert "TURNOUT_READY_FD" not in os.environ, "what the part starts is not to speak for it"
    os.close(reading)
    os.close(writing)
