"""The store in SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.store import OutboxContract
from turnout.adapters.store.sql_store import SqlStore, open_store


class TestSqliteStore(OutboxContract):
    @pytest.fixture
    def store(self, sqlite_database: str) -> Iterator[SqlStore]:
        opened = open_store(sqlite_database, embedded=False, synchronous="NORMAL")
        yield opened
        opened.close()
