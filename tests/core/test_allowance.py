from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnout.core.allowance import Allowance


def test_what_is_there_may_be_taken_at_once_and_then_as_fast_as_it_fills() -> None:
    allowed = Allowance.full(rate=10, burst=40, now=100)
    allowed, wait = allowed.take(40, 100)
    assert wait == 0
    allowed, wait = allowed.take(5, 100)
    assert wait == 0.5
    allowed, wait = allowed.take(5, 100.5)
    assert (wait, allowed.left) == (0, 0)


def test_it_never_holds_more_than_its_burst() -> None:
    assert Allowance.full(10, 40, 0).take(0, 1_000_000)[0].left == 40


def test_what_is_larger_than_all_of_it_takes_all_of_it() -> None:
    allowed, wait = Allowance.full(10, 40, 0).take(1000, 0)
    assert (allowed.left, wait) == (0, 0)


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 10)), max_size=50))
def test_over_any_time_no_more_is_taken_than_burst_and_rate_allow(steps: list[tuple[float, float]]) -> None:
    allowed, now, taken = Allowance.full(10, 40, 0), 0.0, 0.0
    for amount, pause in steps:
        now += pause
        allowed, wait = allowed.take(amount, now)
        taken += 0 if wait else min(amount, 40)
    assert taken <= 40 + 10 * now + 1e-6


def test_a_clock_that_is_turned_back_gives_nothing() -> None:
    allowed, _ = Allowance.full(10, 40, 100).take(40, 100)
    allowed, wait = allowed.take(10, 50)
    assert wait == 1
    assert allowed.left == 0
