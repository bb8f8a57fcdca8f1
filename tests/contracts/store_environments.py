"""What every store keeps of environments and who deploys to them. A part of `tests.contracts.store`."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.contracts.store_runs import T0, Story, a_record, at, created, run_id
from tests.contracts.together import run_together
from turnout.core.environments import Turns
from turnout.core.errors import Conflict
from turnout.core.evolve import replay
from turnout.core.ports import Commit, EnvironmentRow, Store
from turnout.core.run import Run

SHOP = "acme/shop"
NAMES = ("live", "test")


def a_run(store: Store, name: str, seconds: float = 0) -> Run:
    """Made and stored, so many seconds after the first."""
    event = created(name).with_(at=T0 + timedelta(seconds=seconds))
    run = replay([event])
    assert run is not None
    store.commit(Commit(run, 0, (event,), (), event.at))
    return run


def turn(store: Store, run: Run, **turns: tuple[str, ...]) -> None:
    store.commit(Commit(run, run.version, (), (), at(5), turns=Turns(**turns)))


class EnvironmentContract:
    def test_an_environment_is_held_by_one_run_until_it_gives_it_back(self, store: Store) -> None:
        one, two = a_run(store, "one"), a_run(store, "two")
        assert store.environments(SHOP, NAMES) == {}
        turn(store, one, taken=("live",))
        assert store.environments(SHOP, NAMES) == {"live": EnvironmentRow(one.id)}
        with pytest.raises(Conflict):
            turn(store, two, taken=("live",))
        turn(store, one, given=("live",))
        turn(store, two, taken=("live",))
        assert store.environments(SHOP, NAMES) == {"live": EnvironmentRow(two.id)}

    def test_who_can_not_take_all_changes_nothing(self, store: Store) -> None:
        one, two = a_run(store, "one"), Story(store, "two")
        turn(store, one, taken=("test",))
        two.begin()
        assert two.run is not None
        before = two.run
        change = Commit(
            before,
            before.version,
            (),
            (a_record(id="m9"),),
            at(5),
            inbox="m9",
            turns=Turns(taken=("live", "test"), queued=("more",)),
        )
        with pytest.raises(Conflict):
            store.commit(change)
        assert store.environments(SHOP, (*NAMES, "more")) == {"test": EnvironmentRow(one.id)}
        assert not store.seen("m9")
        assert [row.record for row in store.unpublished()] == []

    def test_projects_do_not_share_environments(self, store: Store) -> None:
        one = a_run(store, "one")
        turn(store, one, taken=("live",))
        event = created("two", project="acme/other")
        two = replay([event])
        assert two is not None
        store.commit(Commit(two, 0, (event,), (), at(0), turns=Turns(taken=("live",))))
        assert store.environments("acme/other", NAMES) == {"live": EnvironmentRow(two.id)}
        assert store.environments(SHOP, NAMES) == {"live": EnvironmentRow(one.id)}

    def test_runs_wait_in_the_order_of_their_creation(self, store: Store) -> None:
        young, old = a_run(store, "young", 9), a_run(store, "old", 3)
        turn(store, young, queued=("live", "test"))
        turn(store, old, queued=("live",))
        waiting = ((old.id, at(3)), (young.id, at(9)))
        assert store.environments(SHOP, NAMES) == {
            "live": EnvironmentRow("", waiting),
            "test": EnvironmentRow("", waiting[1:]),
        }
        turn(store, old, unqueued=("live",), taken=("live",))
        assert store.environments(SHOP, ["live"]) == {"live": EnvironmentRow(old.id, waiting[1:])}
        assert store.environments(SHOP, []) == {}

    def test_to_wait_twice_is_to_wait_and_nobody_gives_back_what_is_another_s(self, store: Store) -> None:
        one, two = a_run(store, "one"), a_run(store, "two")
        turn(store, one, taken=("live",))
        for _ in range(2):
            turn(store, two, queued=("live",), given=("live",))
        row = EnvironmentRow(one.id, ((two.id, at(0)),))
        assert store.environments(SHOP, NAMES) == {"live": row}

    def test_whose_deploy_is_there_is_known_and_takes_part_in_taking(self, store: Store) -> None:
        one, two, three = (a_run(store, name) for name in ("one", "two", "three"))
        turn(store, one, taken=("live", "test"))
        turn(store, one, given=("live", "test"), deployed=("live",))
        assert store.environments(SHOP, NAMES) == {"live": EnvironmentRow(deployed=one.id)}
        with pytest.raises(Conflict):
            turn(store, two, taken=("live",))  # decided by somebody who did not know of one
        knowing = Commit(
            two, 1, (), (), at(5), turns=Turns(taken=("live", "test")), deployed={"live": one.id, "far": "r9"}
        )
        store.commit(knowing)
        turn(store, two, given=("live", "test"), deployed=("live", "test"))
        row = EnvironmentRow(deployed=two.id)
        assert store.environments(SHOP, NAMES) == {"live": row, "test": row}
        with pytest.raises(Conflict):
            store.commit(
                Commit(three, 1, (), (), at(6), turns=Turns(taken=("live",)), deployed={"live": one.id})
            )
        assert store.environments(SHOP, NAMES) == {"live": row, "test": row}

    def test_a_run_that_is_behind_takes_nothing(self, store: Store) -> None:
        run = a_run(store, "one")
        with pytest.raises(Conflict):
            store.commit(
                Commit(run.with_(version=2), 2, (), (), at(1), turns=Turns(taken=("live",), queued=("test",)))
            )
        assert store.environments(SHOP, NAMES) == {}

    def test_of_many_who_take_at_once_one_has_it(self, store: Store) -> None:
        runs = [a_run(store, f"run-{n}") for n in range(6)]
        won, lock = [], threading.Lock()

        def take(run: Run) -> None:
            try:
                turn(store, run, taken=("live", "test"))
            except Conflict:
                return
            with lock:
                won.append(run.id)

        run_together([lambda run=run: take(run) for run in runs])  # type: ignore[misc]
        assert len(won) == 1
        row = EnvironmentRow(won[0])
        assert store.environments(SHOP, NAMES) == {"live": row, "test": row}
        assert won[0] in {run_id(f"run-{n}") for n in range(6)}
