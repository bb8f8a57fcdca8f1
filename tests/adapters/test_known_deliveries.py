"""Deliveries in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.deliveries import DeliveriesContract
from turnout.adapters.memory_deliveries import MemoryDeliveries
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.store.known_deliveries import KnownDeliveries
from turnout.adapters.store.sql_store import SqlStore, open_store


class TestMemoryDeliveries(DeliveriesContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def found(self, store: MemoryStore) -> MemoryDeliveries:
        return MemoryDeliveries(store)


class TestSqliteDeliveries(DeliveriesContract):
    @pytest.fixture
    def store(self, sqlite_database: str) -> Iterator[SqlStore]:
        opened = open_store(sqlite_database, embedded=False, synchronous="NORMAL")
        yield opened
        opened.close()

    @pytest.fixture
    def found(self, store: SqlStore) -> KnownDeliveries:
        return KnownDeliveries(store.database)


@pytest.mark.real
class TestPostgresDeliveries(DeliveriesContract):
    @pytest.fixture
    def store(self, postgres_tables: str) -> Iterator[SqlStore]:
        opened = open_store(postgres_tables, embedded=False)
        yield opened
        opened.close()

    @pytest.fixture
    def found(self, store: SqlStore) -> KnownDeliveries:
        return KnownDeliveries(store.database)
