"""The accounts in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from tests.contracts.accounts import ENTRY, AccountsContract
from turnout.adapters.memory_accounts import MemoryAccounts
from turnout.adapters.store.accounts import SqlAccounts
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
