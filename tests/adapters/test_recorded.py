"""Recorded changes in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.recorded import RecordedContract
from turnout.adapters.memory_recorded import MemoryRecordedChanges
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.store.recorded import SqlRecordedChanges
from turnout.adapters.store.sql_store import SqlStore, open_store


class TestMemoryRecordedChanges(RecordedContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def recorded(self, store: MemoryStore) -> MemoryRecordedChanges:
        return MemoryRecordedChanges(store)


class TestSqliteRecordedChanges(RecordedContract):
    @pytest.fixture
    def store(self, sqlite_database: str) -> Iterator[SqlStore]:
        opened = open_store(sqlite_database, embedded=False, synchronous="NORMAL")
        yield opened
        opened.close()

    @pytest.fixture
    def recorded(self, store: SqlStore) -> SqlRecordedChanges:
        return SqlRecordedChanges(store.database)


@pytest.mark.real
class TestPostgresRecordedChanges(RecordedContract):
    @pytest.fixture
    def store(self, postgres_tables: str) -> Iterator[SqlStore]:
        opened = open_store(postgres_tables, embedded=False)
        yield opened
        opened.close()

    @pytest.fixture
    def recorded(self, store: SqlStore) -> SqlRecordedChanges:
        return SqlRecordedChanges(store.database)
