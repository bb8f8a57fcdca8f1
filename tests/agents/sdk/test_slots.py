from __future__ import annotations

from agents.sdk.slots import Slots


class Loop:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def test_no_more_are_given_than_there_are() -> None:
    slots, loop = Slots(2), Loop()
    assert [slots.take(loop) for _ in range(3)] == [True, True, False]


def test_a_freed_slot_is_kept_for_who_has_waited_longest() -> None:
    slots, first, second = Slots(1), Loop(), Loop()
    assert slots.take(first)
    assert not slots.take(second)
    assert not slots.take(first)
    slots.give()
    assert (second.woken, first.woken) == (1, 0)
    assert not slots.take(first)
    assert slots.take(second)


def test_who_has_nothing_left_to_start_passes_it_on() -> None:
    slots, first, second = Slots(1), Loop(), Loop()
    assert slots.take(first)
    assert not slots.take(first)
    assert not slots.take(second)
    slots.give()
    slots.leave(first)
    assert second.woken == 1
    slots.leave(second)
    assert slots.take(first)


def test_who_leaves_while_waiting_gets_none() -> None:
    slots, first, second = Slots(1), Loop(), Loop()
    assert slots.take(first)
    assert not slots.take(second)
    slots.leave(second)
    slots.give()
    assert second.woken == 0
    assert slots.take(first)
