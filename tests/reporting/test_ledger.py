from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from tests.reporting.telling import HandClock
from turnout.adapters.memory_store import MemoryStore
from turnout.core.errors import PermanentError, TransientError
from turnout.core.ports import ReportRow
from turnout.reporting.ledger import FAILED, LEASE, SENDING, SENT, Ledger


@dataclass
class World:
    """Effects that have happened."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: HandClock = field(default_factory=HandClock)
    effects: list[str] = field(default_factory=list)
    looked: list[datetime] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, self.clock, "r1", "slack")

    def do(self) -> str:
        self.effects.append("effect")
        return f"ref-{len(self.effects)}"

    def find(self, since: datetime) -> str | None:
        self.looked.append(since)
        return "ref-1" if self.effects else None

    def once(self, do: Callable[[], str] | None = None) -> str:
        return self.ledger.once("card", 7, do or self.do, self.find)

    def row(self, fact: str = "card") -> ReportRow | None:
        return self.store.find_report("r1", "slack", fact)

    def crash(self, *, after_the_effect: bool) -> None:
        """A process dies between its reservation and its record."""

        def die() -> str:
            if after_the_effect:
                self.do()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.once(die)


@pytest.fixture
def world() -> World:
    return World()


def test_an_effect_is_done_once_however_often_it_is_asked_for(world: World) -> None:
    assert [world.once() for _ in range(3)] == ["ref-1"] * 3
    assert world.effects == ["effect"]
    assert world.looked == []
    assert world.row() == ReportRow("r1", "slack", "card", SENT, "ref-1", 7, world.clock.at)


def test_while_another_process_may_be_at_it_we_come_back_later(world: World) -> None:
    world.crash(after_the_effect=True)
    world.clock.forward(10)
    with pytest.raises(TransientError) as caught:
        world.once()
    assert caught.value.retry_after == LEASE.total_seconds() - 10
    assert world.effects == ["effect"]


def test_an_effect_of_a_process_that_died_before_recording_it_is_found_not_repeated(world: World) -> None:
    began = world.clock.at
    world.crash(after_the_effect=True)
    world.clock.forward(LEASE.total_seconds())
    assert world.once() == "ref-1"
    assert world.effects == ["effect"]
    assert world.looked == [began]
    assert [world.once(), world.effects] == ["ref-1", ["effect"]]


def test_what_was_found_counts_as_an_old_version_so_that_it_is_brought_up_to_date(world: World) -> None:
    world.crash(after_the_effect=True)
    world.clock.forward(LEASE.total_seconds())
    world.once()
    row = world.row()
    assert row is not None
    assert (row.status, row.version) == (SENT, 0)


def test_an_effect_of_a_process_that_died_before_it_is_done_by_the_next(world: World) -> None:
    world.crash(after_the_effect=False)
    world.clock.forward(LEASE.total_seconds())
    assert world.once() == "ref-1"
    assert world.effects == ["effect"]


def test_after_an_error_the_next_try_may_start_at_once_and_looks_first(world: World) -> None:
    def answer_lost() -> str:
        world.do()
        raise TransientError("no answer")

    with pytest.raises(TransientError, match="no answer"):
        world.once(answer_lost)
    row = world.row()
    assert row is not None
    assert row.status == FAILED
    assert world.once() == "ref-1"
    assert world.effects == ["effect"]


def test_of_two_processes_that_take_over_one_does_it(world: World) -> None:
    world.crash(after_the_effect=False)
    world.clock.forward(LEASE.total_seconds())
    rival: list[Exception] = []

    def slow() -> str:
        with pytest.raises(TransientError) as caught:
            world.once()
        rival.append(caught.value)
        return world.do()

    assert world.once(slow) == "ref-1"
    assert len(rival) == 1
    assert world.effects == ["effect"]


def test_an_effect_that_can_not_be_looked_for_is_done_again_after_a_crash(world: World) -> None:
    world.crash(after_the_effect=True)
    world.clock.forward(LEASE.total_seconds())
    world.ledger.once("card", 7, world.do)
    assert world.effects == ["effect", "effect"]


def test_a_forgotten_effect_is_done_anew(world: World) -> None:
    world.crash(after_the_effect=False)
    world.clock.forward(LEASE.total_seconds())
    world.once()
    world.ledger.forget("card")
    assert not world.ledger.begun("card")
    world.effects.clear()
    assert world.once() == "ref-1"
    assert world.effects == ["effect"]


def test_an_effect_has_begun_from_its_reservation_until_a_try_is_known_to_have_failed(world: World) -> None:
    assert not world.ledger.begun("card")
    world.crash(after_the_effect=False)
    assert world.ledger.begun("card")
    world.clock.forward(LEASE.total_seconds())
    with pytest.raises(PermanentError):
        world.once(lambda: refuse())
    assert world.ledger.begun("card")  # the first try may have worked
    world.once()
    assert world.ledger.begun("card")


def test_a_first_try_that_failed_has_begun_nothing(world: World) -> None:
    with pytest.raises(PermanentError):
        world.once(lambda: refuse())
    assert not world.ledger.begun("card")


def test_an_effect_that_is_being_updated_is_not_done_again(world: World) -> None:
    world.once()
    world.ledger.record("card", SENDING, "ref-1", 8)
    assert world.once() == "ref-1"
    assert world.effects == ["effect"]


def test_channels_and_runs_are_kept_apart(world: World) -> None:
    world.once()
    Ledger(world.store, world.clock, "r1", "email").once("card", 1, world.do)
    Ledger(world.store, world.clock, "r2", "slack").once("card", 1, world.do)
    assert len(world.effects) == 3


def refuse() -> str:
    raise PermanentError("channel_not_found")


def telling(world: World) -> Ledger:
    return Ledger(world.store, world.clock, "r1", "slack", "stage:test")


def test_a_change_is_unfinished_from_its_beginning_to_its_end(world: World) -> None:
    ledger = telling(world)
    with ledger.change() as change:
        assert not ledger.unfinished()
        change.begin()
        change.begin()
        assert ledger.unfinished()
        change.end()
    assert not ledger.unfinished()
    assert len(list(ledger.changes())) == 1


def test_of_two_that_tell_the_same_the_first_to_end_comes_again(world: World) -> None:
    """The other one's effect may be older, and come last; and it may die before it sees that."""
    slow, quick = telling(world).change(), telling(world).change()
    slow.begin()
    quick.begin()
    with pytest.raises(TransientError, match="is being told by another process") as caught:
        quick.end()
    assert caught.value.retry_after == LEASE.total_seconds()
    assert telling(world).unfinished()
    world.clock.forward(LEASE.total_seconds())
    again = telling(world).change()
    again.begin()
    again.end()
    assert not telling(world).unfinished()


def test_a_telling_that_ends_with_an_error_is_made_good_by_the_next_at_once(world: World) -> None:
    ledger = telling(world)

    def broken_off() -> None:
        with ledger.change() as change:
            change.begin()
            raise TransientError("slack is away")

    with pytest.raises(TransientError, match="away"):
        broken_off()
    assert ledger.unfinished()
    with ledger.change() as change:
        change.begin()
        change.end()
    assert not ledger.unfinished()
