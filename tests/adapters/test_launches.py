"""The launches in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.contracts.launches import NOW, LaunchesContract, at
from turnout.adapters.memory_launches import MemoryLaunches
from turnout.adapters.store.database import Database
from turnout.adapters.store.launches import SqlLaunches
from turnout.adapters.store.pruning import LAUNCHES_KEPT, prune


class TestMemoryLaunches(LaunchesContract):
    @pytest.fixture
    def launches(self) -> MemoryLaunches:
        return MemoryLaunches()


class TestSqliteLaunches(LaunchesContract):
    @pytest.fixture
    def launches(self, sqlite_database: str) -> Iterator[SqlLaunches]:
        database = Database(sqlite_database, synchronous="NORMAL")
        yield SqlLaunches(database)
        database.close()


@pytest.mark.real
class TestPostgresLaunches(LaunchesContract):
    @pytest.fixture
    def launches(self, postgres_tables: str) -> Iterator[SqlLaunches]:
        database = Database(postgres_tables)
        yield SqlLaunches(database)
        database.close()


def test_launches_are_forgotten_once_no_task_can_come_again(sqlite_database: str) -> None:
    database = Database(sqlite_database, synchronous="NORMAL")
    launches = SqlLaunches(database)
    launches.reserve("old", "cloudrun", NOW, at(60))
    launches.record("old", "executions/1")
    launches.reserve("young", "cloudrun", at(3600), at(3660))
    assert prune(database, NOW + LAUNCHES_KEPT + timedelta(seconds=1)) == 1
    assert launches.find("old") is None
    assert launches.find("young") is not None
    database.close()
