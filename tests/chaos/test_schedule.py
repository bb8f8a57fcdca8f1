from __future__ import annotations

import pytest

from tests.chaos.schedule import LASTS, Kind, batches, choices, schedule


def test_a_seed_makes_the_same_schedule_each_time_and_another_seed_another_one() -> None:
    assert schedule(7, 40) == schedule(7, 40)
    assert schedule(7, 40) != schedule(8, 40)


def test_every_kind_strikes_every_target_once_before_any_comes_again() -> None:
    possible = choices()
    planned = schedule(7, 2 * len(possible))
    for half in (planned[: len(possible)], planned[len(possible) :]):
        assert {(each.kind, each.target) for each in half} == set(possible)
    assert {kind for kind, _ in possible} == set(Kind)


def test_strikes_last_as_long_as_their_kind_may_and_some_come_together() -> None:
    planned = schedule(7, 200)
    for each in planned:
        shortest, longest = LASTS[each.kind]
        assert shortest <= each.lasts <= longest
    together = sum(each.together for each in planned)
    assert 40 < together < 80
    assert not planned[0].together


def test_kinds_can_be_chosen() -> None:
    planned = schedule(7, 30, choices([Kind.KILL]))
    assert {each.kind for each in planned} == {Kind.KILL}
    assert "supervisor" in {each.target for each in planned}


@pytest.mark.parametrize(("count", "strikes"), [(200, 27), (30, 6), (3, 9), (5, 0)])
def test_every_delivery_is_sent_and_most_strikes_meet_some(count: int, strikes: int) -> None:
    found = batches(count, strikes)
    assert sum(found) == count
    assert len(found) == strikes + 1
    if count > 2 * strikes > 0:
        assert all(found)
