"""The store in PostgreSQL, a real one."""

from __future__ import annotations

import pytest

from tests.contracts.store import OutboxContract
from turnout.adapters.store.sql_store import SqlStore


class TestPostgresStore(OutboxContract):
    @pytest.fixture
    def store(self, postgres_store: SqlStore) -> SqlStore:
        return postgres_store
