"""The real PostgreSQL: what was committed is there after a SIGKILL, and a database is a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from local.postgres import server
from local.postgres.server import Postgres
from tests.conftest import RunningPostgres
from tests.real import require
from turnout.core.errors import PermanentError


@pytest.fixture(scope="module")
def running() -> Iterator[Postgres]:
    require("PostgreSQL", server.available(), server.INSTALL)
    with Postgres() as started:
        yield started


def query(url: str, statement: str) -> object:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


@pytest.mark.real
def test_a_committed_row_survives_a_sigkill(running: Postgres) -> None:
    url = running.create_database("kept")
    query(url, "CREATE TABLE facts (fact text)")
    query(url, "INSERT INTO facts VALUES ('still here')")
    killed = running.pid
    running.kill()
    assert not running.running

    running.start()

    assert running.pid != killed
    assert query(url, "SELECT fact FROM facts") == "still here"


@pytest.mark.real
def test_stop_and_start_keep_data_and_port(running: Postgres) -> None:
    url = running.create_database("stopped")
    query(url, "CREATE TABLE facts (fact text)")
    running.stop()
    running.start()
    assert query(url, "SELECT count(*) FROM facts") == 0


@pytest.mark.real
def test_a_wrong_password_is_refused(running: Postgres) -> None:
    with pytest.raises(Exception, match="password authentication failed"):
        query(running.url.replace("turnout:", "turnout:not-"), "SELECT 1")


def test_each_database_is_empty(postgres_database: str) -> None:
    assert query(postgres_database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_a_dropped_database_is_gone(postgres: RunningPostgres) -> None:
    url = postgres.create_database("dropped")
    postgres.drop_database("dropped")
    with pytest.raises(Exception, match="does not exist"):
        query(url, "SELECT 1")


def test_without_postgresql_it_says_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(server, "DEBIAN", tmp_path)
    assert not server.available()
    with pytest.raises(PermanentError, match="make real-parts"), Postgres():
        pass


def test_the_newest_installed_version_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("9.6", "15", "17"):
        programs = tmp_path / version / "bin"
        programs.mkdir(parents=True)
        (programs / "initdb").touch()
    monkeypatch.setattr(server, "DEBIAN", tmp_path)
    assert server.programs() == tmp_path / "17" / "bin"
