"""Deliveries in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

import pytest

from tests.contracts.deliveries import DeliveriesContract
from turnout.adapters.memory_deliveries import MemoryDeliveries
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.store.known_deliveries import KnownDeliveries
from turnout.adapters.store.sql_store import SqlStore


class TestMemoryDeliveries(DeliveriesContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def found(self, store: MemoryStore) -> MemoryDeliveries:
        return MemoryDeliveries(store)


class TestSqliteDeliveries(DeliveriesContract):
    @pytest.fixture
    def store(self, sqlite_store: SqlStore) -> SqlStore:
        return sqlite_store

    @pytest.fixture
    def found(self, store: SqlStore) -> KnownDeliveries:
        return KnownDeliveries(store.database)


@pytest.mark.real
class TestPostgresDeliveries(DeliveriesContract):
    @pytest.fixture
    def store(self, postgres_store: SqlStore) -> SqlStore:
        return postgres_store

    @pytest.fixture
    def found(self, store: SqlStore) -> KnownDeliveries:
        return KnownDeliveries(store.database)
