from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.waiting import wait_until
from turnout import timers
from turnout.core.errors import TransientError
from turnout.timers import Timers


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


CLOCK = RealClock()


def soon(seconds: float) -> datetime:
    return CLOCK.now() + timedelta(seconds=seconds)


class Ticks:
    """What was looked at, when."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.seen: list[tuple[str, datetime]] = []
        self.fails = fails

    def __call__(self, run: str) -> None:
        self.seen.append((run, CLOCK.now()))
        if self.fails:
            raise self.fails

    def runs(self) -> list[str]:
        return [run for run, _ in self.seen]


def test_a_run_is_looked_at_when_it_falls_due_and_not_before() -> None:
    ticks, due = Ticks(), soon(0.05)
    Timers(ticks, CLOCK).set("r1", due)
    wait_until(ticks.runs, 5, "the tick")
    assert ticks.seen[0][1] >= due


def test_what_is_overdue_is_looked_at_now() -> None:
    ticks = Ticks()
    Timers(ticks, CLOCK).set("r1", soon(-60))
    wait_until(lambda: ticks.runs() == ["r1"], 5, "the tick")


def test_a_newer_due_time_takes_the_place_of_the_older() -> None:
    ticks = Ticks()
    each = Timers(ticks, CLOCK)
    later = soon(0.35)
    each.set("r1", soon(0.3))
    each.set("r1", later)
    each.set("r2", later)
    wait_until(lambda: sorted(ticks.runs()) == ["r1", "r2"], 5, "both ticks")
    assert ticks.seen[0][1] >= later


def test_what_is_due_much_later_is_left_to_the_sweeper() -> None:
    before = threading.active_count()
    each = Timers(Ticks(), CLOCK)
    each.set("r1", soon(timers.SHORT + 5))
    assert threading.active_count() == before


def test_a_run_that_is_due_much_later_now_is_not_looked_at_any_more() -> None:
    ticks = Ticks()
    each = Timers(ticks, CLOCK)
    each.set("r1", soon(0.3))
    each.set("r1", soon(3600))
    each.set("r2", soon(0.35))
    wait_until(ticks.runs, 5, "the tick")
    assert ticks.runs() == ["r2"]


def test_there_is_a_bound_to_how_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "MANY", 2)
    ticks = Ticks()
    each = Timers(ticks, CLOCK)
    for run in ("r1", "r2", "r3"):
        each.set(run, soon(0.3))
    wait_until(lambda: len(ticks.seen) == 2, 5, "two ticks")
    each.set("r4", soon(0))
    wait_until(lambda: "r4" in ticks.runs(), 5, "the place that was free again")
    assert "r3" not in ticks.runs()


def test_a_look_that_fails_leaves_the_run_to_the_sweeper_and_the_next_one_goes_on() -> None:
    ticks = Ticks(TransientError("the store is away"))
    each = Timers(ticks, CLOCK)
    each.set("r1", soon(0))
    wait_until(ticks.runs, 5, "the tick")
    each.set("r1", soon(0))
    wait_until(lambda: ticks.runs() == ["r1", "r1"], 5, "the second tick")


def test_a_timer_keeps_no_process_alive() -> None:
    each = Timers(Ticks(), CLOCK)
    before = set(threading.enumerate())
    each.set("r1", soon(60))
    (timer,) = set(threading.enumerate()) - before
    assert timer.daemon
    each.set("r1", soon(3600))
    cancelled: Callable[[], bool] = lambda: not timer.is_alive()  # noqa: E731
    wait_until(cancelled, 5, "its end")
