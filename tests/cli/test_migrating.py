"""`turnout migrate`, as a job runs it."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

import pytest

from tests.cli.house import House
from tests.conftest import RunningPostgres
from turnout.adapters.store.schema import HEAD
from turnout.cli import migrating


def test_it_says_what_it_has_done_and_the_next_time_that_nothing_was_to_do(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.db"
    monkeypatch.setenv("TURNOUT_DATABASE_URL", f"sqlite:///{path}")
    first = house.turnout("migrate")
    assert first.status == 0
    done = first.out.splitlines()
    assert done[0] == "  0001 The first tables."
    assert done[-2].startswith(f"  {HEAD} ")
    assert done[-1] == f"{path}: the tables are changed to {HEAD}"
    again = house.turnout("migrate")
    assert (again.status, again.out) == (0, f"{path}: the tables are at {HEAD} already\n")


def test_tables_of_a_newer_version_are_not_changed_back(house: House) -> None:
    with sqlite3.connect(house.wiring.settings.home / "turnout.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    said = house.turnout("migrate")
    assert said.status == 2
    assert "9999" in said.err
    assert "a newer Turnout has changed the tables, and they are not changed back" in said.err


def test_it_waits_for_a_database_that_is_away_but_not_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNOUT_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(migrating, "PAUSE", 0.05)
    said = house.turnout("migrate", "--wait", "0.2")
    assert said.status == 2
    waiting, last = said.err.splitlines()
    assert waiting.startswith("turnout: waiting: PostgreSQL at 127.0.0.1: ")
    assert last.startswith("turnout: PostgreSQL at 127.0.0.1: ")


def test_a_role_that_there_is_not_fails_the_job(
    house: House, postgres: RunningPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"migrating_{uuid.uuid4().hex}"
    monkeypatch.setenv("TURNOUT_DATABASE_URL", postgres.create_database(name))
    monkeypatch.setenv("TURNOUT_DATABASE_ROLES", "nobody")
    said = house.turnout("migrate")
    assert (said.status, said.out) == (2, "")
    assert "no role 'nobody'" in said.err
    monkeypatch.setenv("TURNOUT_DATABASE_ROLES", "pg_monitor")
    assert house.turnout("migrate").out.endswith("already, open to pg_monitor\n")
    postgres.drop_database(name)
