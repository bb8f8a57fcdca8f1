"""Databases for tests: made once, then copied or emptied, since making the tables takes most of the time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.conftest import RunningPostgres
from turnout.adapters.store.schema import migrate
from turnout.adapters.store.sql_store import SqlStore, open_store
from turnout.adapters.store.tables import METADATA


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("template") / "turnout.db"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def sqlite_database(sqlite_template: bytes, tmp_path: Path) -> str:
    """The URL of a SQLite database with empty tables."""
    path = tmp_path / "turnout.db"
    path.write_bytes(sqlite_template)
    path.chmod(0o600)
    return f"sqlite:///{path}"


@pytest.fixture
def sqlite_store(sqlite_database: str) -> Iterator[SqlStore]:
    opened = open_store(sqlite_database, embedded=False, synchronous="NORMAL")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgres_with_tables(postgres: RunningPostgres) -> Iterator[str]:
    name = f"tables_{uuid.uuid4().hex}"
    url = postgres.create_database(name)
    migrate(url)
    yield url
    postgres.drop_database(name)


@pytest.fixture
def postgres_tables(postgres_with_tables: str) -> str:
    """The URL of a PostgreSQL database with empty tables."""
    engine = create_engine(postgres_with_tables)
    with engine.begin() as connection:
        tables = ", ".join(each.name for each in METADATA.sorted_tables)
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    engine.dispose()
    return postgres_with_tables


@pytest.fixture
def postgres_store(postgres_tables: str) -> Iterator[SqlStore]:
    opened = open_store(postgres_tables, embedded=False)
    yield opened
    opened.close()
