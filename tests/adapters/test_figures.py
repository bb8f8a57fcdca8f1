"""The figures, beside each store."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.contracts.figures import FiguresContract
from tests.contracts.store_runs import Story, at, run_finished
from turnout.adapters.memory_figures import MemoryFigures
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.store import figures as module
from turnout.adapters.store.database import Database
from turnout.adapters.store.figures import SqlFigures
from turnout.adapters.store.link import Statement
from turnout.adapters.store.sql_store import SqlStore, open_store
from turnout.core.facts import facts_of
from turnout.core.ports import Store

PARTIAL = ("runs_open", "attempts_open", "outbox_unpublished", "runs_uncounted")
"""Indexes that hold only what is open."""


ASKED: dict[str, object] = {
    "limit": 9, "project": "p", "since": "2026-03-02", "now": 1, "at": 1, "run": "r", "day": "", "body": "",
}  # fmt: skip
STATEMENTS = {
    name: each
    for name, each in vars(module).items()
    if isinstance(each, Statement) and not each.sqlite.startswith("INSERT")
}


class TestMemoryFigures(FiguresContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def figures(self, store: Store) -> MemoryFigures:
        assert isinstance(store, MemoryStore)
        return MemoryFigures(store)


class OnDatabase(FiguresContract):
    @pytest.fixture
    def figures(self, store: Store) -> SqlFigures:
        assert isinstance(store, SqlStore)
        return SqlFigures(store.database)

    def test_what_is_added_and_that_it_was_counted_come_together_or_not_at_all(
        self, store: SqlStore, figures: SqlFigures
    ) -> None:
        story = Story(store, "a")
        story.begin()
        story.tell(run_finished())
        with store.database.write() as connection:
            connection.execute(text("ALTER TABLE tallies RENAME TO away"))
        with pytest.raises(Exception, match="tallies"):
            figures.count([facts_of(story.state)], at(20))
        with store.database.write() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO tallies"))
        assert [run.id for run in figures.uncounted()] == [story.id]


class TestSqliteFigures(OnDatabase):
    @pytest.fixture
    def store(self, sqlite_store: SqlStore) -> SqlStore:
        return sqlite_store

    def test_no_query_walks_through_history(self, store: SqlStore) -> None:
        small = (
            "SCAN environment",
            "SCAN projects",
            "SCAN json_each",
            *(f"INDEX {name}" for name in PARTIAL),
        )
        walks = []
        with store.database.read() as connection:
            for name, each in STATEMENTS.items():
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {each.sqlite}", ASKED | {"runs": "[]"})
                walks += [
                    f"{name}: {row.detail}"
                    for row in plan
                    if row.detail.startswith("SCAN") and not any(fine in row.detail for fine in small)
                ]
        assert walks == []


class TestPostgresFigures(OnDatabase):
    @pytest.fixture
    def store(self, postgres_store: SqlStore) -> SqlStore:
        return postgres_store

    def test_every_query_can_be_answered_from_an_index(self, store: SqlStore) -> None:
        small = ("on environments", "on environment_queue", "on projects")
        walks = []
        with store.database.write() as connection:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            for name, each in STATEMENTS.items():
                day = {} if name == "_DAYS" else {"since": 1}
                asked: dict[str, object] = ASKED | {"runs": ["r"]} | day
                plan = connection.exec_driver_sql(f"EXPLAIN {each.postgresql}", asked)
                walks += [
                    f"{name}: {step}"
                    for (step,) in plan
                    if "Seq Scan" in step and not any(fine in step for fine in small)
                ]
        assert walks == []


def test_runs_that_ended_before_there_were_figures_are_counted_too(sqlite_database: str) -> None:
    """As after the migration: the column is there, and empty."""
    store = open_store(sqlite_database, embedded=True)
    story = Story(store, "old")
    story.begin()
    story.tell(run_finished())
    database = Database(sqlite_database)
    with database.read() as connection:
        assert connection.execute(text("SELECT counted_at FROM runs")).scalars().all() == [None]
    assert SqlFigures(database).count([facts_of(story.state)], at(20)) == 1
    store.close()
    database.close()
