"""The books in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from tests.adapters.test_store_queries import recorded
from tests.contracts.books import BooksContract, Kept
from tests.contracts.store_runs import at
from turnout.adapters.memory_books import MemoryBooks, MemoryMissed
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.store.books import SqlBooks
from turnout.adapters.store.missed import SqlMissed
from turnout.adapters.store.sql_store import SqlStore, open_store


class TestMemoryBooks(BooksContract):
    @pytest.fixture
    def kept(self) -> Kept:
        store = MemoryStore()
        return Kept(store, MemoryBooks(store), MemoryMissed(store))


def opened(url: str) -> Iterator[Kept]:
    store = open_store(url, embedded=False, synchronous="NORMAL")
    yield Kept(store, SqlBooks(store.database), SqlMissed(store.database))
    store.close()


class TestSqliteBooks(BooksContract):
    @pytest.fixture
    def kept(self, sqlite_database: str) -> Iterator[Kept]:
        yield from opened(sqlite_database)


@pytest.mark.real
class TestPostgresBooks(BooksContract):
    @pytest.fixture
    def kept(self, postgres_tables: str) -> Iterator[Kept]:
        yield from opened(postgres_tables)


def ask_everything(kept: Kept) -> None:
    books, missed = kept.books, kept.missed
    for count in (books.deliveries, books.messages, books.runs, books.attempts, books.reports):
        count(at(0))
    for named in (books.unanswered, books.runless, books.orphans, books.open_reports):
        named(at(0), 10)
    books.open_runs(10)
    books.open_attempts(10)
    books.untold(at(0), at(9), ["slack"], 10)
    books.last()
    missed.known(["g1"])
    missed.missed(10)
    missed.forget(at(0))
    missed.turn("app", at(0), at(1), at(0))


def plans(kept: Kept, explain: str) -> dict[str, list[str]]:
    with recorded() as seen:
        ask_everything(kept)
    assert isinstance(kept.store, SqlStore)
    with kept.store.database.write() as connection:
        if explain == "EXPLAIN":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        return {
            statement: [str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}", given)]
            for statement, given in seen.items()
        }


FEW = ("missed_deliveries", "hook_marks", "last_account", "json_each", "runs_open", "attempts_open")
"""Rows that come and go, or of which there is one a hook."""


def test_no_question_in_sqlite_walks_through_history(sqlite_database: str) -> None:
    for kept in opened(sqlite_database):
        found = plans(kept, "EXPLAIN QUERY PLAN")
        assert len(found) > 15
        walks = [
            f"{step}: {statement}"
            for statement, steps in found.items()
            for step in steps
            if step.startswith("SCAN") and not any(few in step for few in FEW)
        ]
        assert not walks, "\n".join(walks)


@pytest.mark.real
def test_no_question_in_postgresql_walks_through_history(postgres_tables: str) -> None:
    for kept in opened(postgres_tables):
        found = plans(kept, "EXPLAIN")
        walks = [
            f"{step}: {statement}"
            for statement, steps in found.items()
            for step in steps
            if "Seq Scan" in step and not any(few in step for few in FEW)
        ]
        assert not walks, "\n".join(walks)
