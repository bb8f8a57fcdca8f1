"""The accounts in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from tests.contracts.accounts import ENTRY, AccountsContract
from turnout.adapters.memory_accounts import MemoryAccounts
from turnout.adapters.store.accounts import _LOGS, SqlAccounts
from turnout.adapters.store.database import Database
from turnout.core.errors import TurnoutError


class TestMemoryAccounts(AccountsContract):
    @pytest.fixture
    def accounts(self) -> MemoryAccounts:
        return MemoryAccounts()


class TestSqliteAccounts(AccountsContract):
    @pytest.fixture
    def accounts(self, sqlite_database: str) -> Iterator[SqlAccounts]:
        database = Database(sqlite_database, synchronous="NORMAL")
        yield SqlAccounts(database)
        database.close()


@pytest.mark.real
class TestPostgresAccounts(AccountsContract):
    @pytest.fixture
    def accounts(self, postgres_tables: str) -> Iterator[SqlAccounts]:
        database = Database(postgres_tables)
        yield SqlAccounts(database)
        database.close()


CHANGES = ("UPDATE audit_log SET person = 'mallory'", "DELETE FROM audit_log")


@pytest.mark.parametrize("change", CHANGES)
def test_no_statement_changes_the_audit_log(change: str, sqlite_database: str) -> None:
    _refused(change, sqlite_database)


@pytest.mark.real
@pytest.mark.parametrize("change", CHANGES)
def test_no_statement_changes_the_audit_log_in_postgresql(change: str, postgres_tables: str) -> None:
    _refused(change, postgres_tables)


def _refused(change: str, url: str) -> None:
    database = Database(url)
    accounts = SqlAccounts(database)
    accounts.record(ENTRY)
    with pytest.raises(TurnoutError, match="only added to"), database.write() as connection:
        connection.execute(text(change))
    assert len(accounts.audit_log()) == 1
    database.close()


def test_no_page_of_the_audit_log_costs_more_with_its_length(sqlite_database: str) -> None:
    database = Database(sqlite_database)
    asked = {"before": 9, "limit": 5, "person": "ada", "project": "acme/shop"}
    with database.read() as connection:
        for statement in _LOGS.values():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement.sqlite}", asked)
            (step,) = [row.detail for row in plan]
            assert step.startswith("SEARCH audit_log USING ")
            assert "seq<?" in step or "rowid<?" in step
    database.close()
