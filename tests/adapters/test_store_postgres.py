"""The store in PostgreSQL, a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.store import OutboxContract
from turnout.adapters.store.sql_store import SqlStore, open_store


class TestPostgresStore(OutboxContract):
    @pytest.fixture
    def store(self, postgres_tables: str) -> Iterator[SqlStore]:
        opened = open_store(postgres_tables, embedded=False)
        yield opened
        opened.close()
