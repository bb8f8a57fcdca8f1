"""The embedded log keeps the contract of every bus, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.bus import BusContract
from turnout.adapters.embedded_log.bus import EmbeddedBus
from turnout.adapters.embedded_log.readers import EmbeddedConsumer
from turnout.adapters.store.database import Database
from turnout.core.ports import Bus, Consumer
from turnout.core.topics import AGENT_REPORT, AGENT_RESULTS


class EmbeddedHarness:
    topic = AGENT_RESULTS
    other = AGENT_REPORT
    group = "group"
    patience = 10.0

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: list[Database] = []

    def open(self) -> Bus:
        database = Database(self._url, synchronous="NORMAL")
        self._opened.append(database)
        return EmbeddedBus(database, session_timeout=0.6)

    def kill(self, consumer: Consumer) -> None:
        assert isinstance(consumer, EmbeddedConsumer)
        consumer.vanish()

    def close(self) -> None:
        for each in self._opened:
            each.close()


class TestEmbeddedLogOnSqlite(BusContract):
    @pytest.fixture
    def harness(self, sqlite_database: str) -> Iterator[EmbeddedHarness]:
        made = EmbeddedHarness(sqlite_database)
        yield made
        made.close()


class TestEmbeddedLogOnPostgres(BusContract):
    @pytest.fixture
    def harness(self, postgres_tables: str) -> Iterator[EmbeddedHarness]:
        made = EmbeddedHarness(postgres_tables)
        yield made
        made.close()
