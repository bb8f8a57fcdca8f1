"""Whoever keeps runs and deliveries gives back the changes that they were made for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.decider import StartRun, decide
from turnout.core.evolve import replay
from turnout.core.model import ChangeKind
from turnout.core.ports import Commit, Delivery, Store
from turnout.core.ports.recorded import RecordedChange, RecordedChanges

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANGE = Change(
    kind=ChangeKind.PUSH,
    repository="acme/shop",
    clone_url="/srv/git/shop.git",
    ref="refs/heads/main",
    sha="a" * 40,
    branch="main",
    paths=("src/a.py",),
)


def at(seconds: int) -> datetime:
    return AT + timedelta(seconds=seconds)


def ran(store: Store, run: str, seconds: int, project: str = "acme/shop", rerun_of: str = "") -> Change:
    change = CHANGE.with_(title=run, repository=project)
    start = StartRun(
        run=run, trigger=run, project=project, change=change, plan=None, reason="no file",
        delivery="" if rerun_of else f"d-{run}", rerun_of=rerun_of,
    )  # fmt: skip
    events = decide(None, start, at(seconds))
    store.commit(Commit(replay(events), 0, events, (), at(seconds)))
    return change


def ignored(store: Store, id: str, seconds: int, *, answered: bool = True) -> Change:
    """As the webhook and the orchestrator do it."""
    change = CHANGE.with_(title=id)
    row = Delivery(id, "github", "push", change.repository, "received", at(seconds), message=f"m-{id}")
    store.receive(row)
    message = m.RunRequested(trigger=f"m-{id}", change=change, delivery=id)
    record = m.wrap(message, id=f"m-{id}", source="/test", at=at(seconds)).to_record("pipeline.events", "k")
    store.commit(Commit(None, 0, (), (record,), at(seconds), delivery=replace(row, status="published")))
    if answered:
        said = replace(row, status="ignored", reason="not on main")
        store.commit(Commit(None, 0, (), (), at(seconds), inbox=f"m-{id}", delivery=said))
    return change


class RecordedContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("the subclass gives the store that they are in")

    @pytest.fixture
    def recorded(self, store: Store) -> RecordedChanges:
        raise NotImplementedError("the subclass gives them")

    def test_changes_of_runs_and_of_what_made_no_run_come_newest_first(
        self, store: Store, recorded: RecordedChanges
    ) -> None:
        one, two, three = ran(store, "r1", 1), ignored(store, "d2", 2), ran(store, "r3", 3)
        assert recorded.newest("acme/shop", 10) == [
            RecordedChange(at(3), three, "r3", "d-r3"),
            RecordedChange(at(2), two, "", "d2", "not on main"),
            RecordedChange(at(1), one, "r1", "d-r1"),
        ]
        assert [each.at for each in recorded.newest("acme/shop", 2)] == [at(3), at(2)]

    def test_other_projects_reruns_and_what_nobody_has_answered_do_not_count(
        self, store: Store, recorded: RecordedChanges
    ) -> None:
        ran(store, "r1", 1)
        ran(store, "r2", 2, rerun_of="r1")
        ran(store, "r3", 3, project="acme/other")
        ignored(store, "d4", 4, answered=False)
        assert [each.run for each in recorded.newest("acme/shop", 10)] == ["r1"]
        assert recorded.newest("nobody/none", 10) == []

    def test_a_bounded_number_of_rows_is_read(self, store: Store, recorded: RecordedChanges) -> None:
        ran(store, "r0", 0)
        for number in range(1, 6):
            ran(store, f"r{number}", number, rerun_of="r0")
        assert [each.run for each in recorded.newest("acme/shop", 1)] == []
        assert [each.run for each in recorded.newest("acme/shop", 2)] == ["r0"]
