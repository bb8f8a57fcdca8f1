"""Recorded changes in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

import pytest

from tests.contracts.recorded import RecordedContract
from turnout.adapters.memory_recorded import MemoryRecordedChanges
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.store.recorded import SqlRecordedChanges
from turnout.adapters.store.sql_store import SqlStore


class TestMemoryRecordedChanges(RecordedContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def recorded(self, store: MemoryStore) -> MemoryRecordedChanges:
        return MemoryRecordedChanges(store)


class TestSqliteRecordedChanges(RecordedContract):
    @pytest.fixture
    def store(self, sqlite_store: SqlStore) -> SqlStore:
        return sqlite_store

    @pytest.fixture
    def recorded(self, store: SqlStore) -> SqlRecordedChanges:
        return SqlRecordedChanges(store.database)


@pytest.mark.real
class TestPostgresRecordedChanges(RecordedContract):
    @pytest.fixture
    def store(self, postgres_store: SqlStore) -> SqlStore:
        return postgres_store

    @pytest.fixture
    def recorded(self, store: SqlStore) -> SqlRecordedChanges:
        return SqlRecordedChanges(store.database)
