"""Filling a store with copies of a run: they look like runs, and the system goes on beside them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.bench.history import fill
from tests.contracts.store_runs import Story, a_record, attempt_finished, launched, run_finished, started
from turnout.adapters.store.schema import migrate
from turnout.adapters.store.sql_store import SqlStore, open_store
from turnout.core.ids import derive


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "turnout.db"
    migrate(f"sqlite:///{path}")
    return path


def store_of(database: Path) -> SqlStore:
    return open_store(f"sqlite:///{database}", embedded=True)


def tell_one_run(database: Path) -> str:
    store = store_of(database)
    story = Story(store)
    story.begin(inbox=derive("begin"), records=[a_record(key=story.id, id=story.id)])
    story.tell(*launched("one"), inbox=derive("launch"))
    story.tell(started("one"), inbox=derive("start"))
    story.tell(attempt_finished("one"), run_finished(), inbox=derive("end"))
    store.close()
    return story.id


def test_a_store_is_filled_to_as_many_events_and_every_copy_can_be_read(database: Path) -> None:
    original = tell_one_run(database)
    held = fill(database, 100)
    assert 100 <= held < 107
    store = store_of(database)
    runs = store.runs(limit=1000)
    assert sum(len(store.events(each.id)) for each in runs) == held
    assert len({each.number for each in runs}) == len(runs)
    copy = store.load(runs[0].id)
    assert copy is not None
    assert copy.id == runs[0].id != original
    assert original not in str(copy)
    store.close()


def test_a_run_told_after_the_filling_has_a_number_and_offsets_of_its_own(database: Path) -> None:
    tell_one_run(database)
    fill(database, 50)
    store = store_of(database)
    before = len(store.runs(limit=1000))
    Story(store, "two").begin(records=[a_record(id="m2")])
    assert store.runs(limit=1)[0].number == before + 1
    store.close()
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT count(*), count(DISTINCT topic || partition_no || '/' || offset_no) FROM outbox"
        ).fetchone()
    connection.close()
    assert rows[0] == rows[1]


def test_a_store_without_a_run_that_has_ended_can_not_be_filled(database: Path) -> None:
    with pytest.raises(ValueError, match="no run that has ended"):
        fill(database, 10)
