"""Transactions, forks, and what is said when the database is in trouble."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tests.contracts.store_runs import Story
from tests.contracts.together import run_together
from turnout.adapters.store.database import Database
from turnout.adapters.store.failures import translate
from turnout.adapters.store.schema import migrate
from turnout.adapters.store.sql_store import SqlStore, open_store
from turnout.core.errors import PermanentError, TransientError


@pytest.fixture
def database(sqlite_database: str) -> Iterator[Database]:
    opened = Database(sqlite_database, synchronous="NORMAL", busy_timeout=0.2)
    yield opened
    opened.close()


@pytest.fixture
def store(sqlite_database: str) -> Iterator[SqlStore]:
    opened = open_store(sqlite_database, embedded=False, synchronous="NORMAL", busy_timeout=0.2)
    yield opened
    opened.close()


def path_of(database: Database) -> Path:
    assert database.path is not None
    return database.path


def add(database: Database, name: str, timeout: float | None = None) -> None:
    with database.write(timeout) as connection:
        connection.execute(text("INSERT INTO projects VALUES (:name, 1)"), {"name": name})


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return [row[0] for row in connection.execute(text("SELECT name FROM projects ORDER BY name"))]


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "postgresql+psycopg2://h/d", "no url at all"]
)
def test_a_url_of_another_kind_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(PermanentError, match=r"sqlite:///path"):
        Database(url)


def test_a_short_postgresql_url_means_the_driver_that_is_installed() -> None:
    assert Database("postgresql://u:p@h/d").url.drivername == "postgresql+psycopg"


def test_an_error_names_the_server_and_keeps_the_password() -> None:
    database = Database("postgresql://u:geheim@h/d")
    assert "geheim" not in database.name


def test_what_raises_within_a_transaction_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(text("INSERT INTO projects VALUES ('lost', 1)"))
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail()
    assert names(database) == []
    add(database, "kept")
    assert names(database) == ["kept"]


def test_a_reader_is_not_held_up_by_a_writer_and_sees_only_what_is_committed(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO projects VALUES ('new', 1)"))
        assert names(database) == []
    assert names(database) == ["new"]


def test_a_power_cut_is_survived_where_it_was_asked_for(sqlite_database: str) -> None:
    for name, number in (("FULL", 2), ("NORMAL", 1)):
        database = Database(sqlite_database, synchronous=name)  # type: ignore[arg-type]
        for connect in (database.read, database.write):
            with connect() as connection:
                assert connection.execute(text("PRAGMA synchronous")).scalar() == number
                assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        database.close()


def test_writers_of_one_process_take_turns(database: Database) -> None:
    run_together([partial(add, database, name) for name in "abcdefgh"])
    assert names(database) == list("abcdefgh")


def test_a_writer_waits_for_another_process_and_then_writes(database: Database) -> None:
    other = sqlite3.connect(path_of(database), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.05, lambda: other.execute("COMMIT"))
    release.start()
    add(database, "late")
    release.join()
    other.close()
    assert names(database) == ["late"]


def test_a_writer_that_waits_too_long_says_that_it_may_be_tried_again(database: Database) -> None:
    other = sqlite3.connect(path_of(database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(TransientError, match="locked"):
        add(database, "never")
    assert 0.15 < time.monotonic() - began < 5
    began = time.monotonic()
    with pytest.raises(TransientError):
        add(database, "never", timeout=0.01)
    assert time.monotonic() - began < 0.15
    other.execute("COMMIT")
    other.close()
    add(database, "at last")
    assert names(database) == ["at last"]


def test_a_thread_that_waits_too_long_for_another_says_so(database: Database) -> None:
    with database.write(), pytest.raises(TransientError, match="other threads"), database.write():
        raise AssertionError("two threads write at once")


def test_a_missing_file_is_an_error_and_not_an_empty_database(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'none.db'}", embedded=False)
    with pytest.raises(TransientError, match="turnout up"):
        store.load("r1")
    assert not (tmp_path / "none.db").exists()
    store.close()


def test_a_database_without_tables_says_how_to_make_them(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    store = open_store(f"sqlite:///{path}", embedded=False)
    with pytest.raises(TransientError, match="migrate"):
        store.load("r1")
    store.close()


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, " * 100)
    store = open_store(f"sqlite:///{path}", embedded=False)
    with pytest.raises(TransientError, match="no SQLite database"):
        store.load("r1")
    store.close()


def test_a_full_disk_loses_nothing_and_says_so(store: SqlStore) -> None:
    story = Story(store, title="x" * 300_000)
    with store.database.write() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages + 2}"))
    with pytest.raises(TransientError, match="free some space"):
        story.begin(inbox="m1")
    with store.database.write() as connection:
        connection.execute(text("PRAGMA max_page_count = 1000000"))
    assert not store.seen("m1")
    story.begin(inbox="m1")
    assert store.load(story.id) == story.state


def test_a_broken_constraint_is_for_good(database: Database) -> None:
    add(database, "twice")
    with pytest.raises(PermanentError, match="refused for good"):
        add(database, "twice")


def test_a_wrong_statement_is_a_defect(database: Database) -> None:
    with pytest.raises(PermanentError, match="defect"), database.read() as connection:
        connection.execute(text("SELEKT 1"))


class _FromServer(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("said the server\nDETAIL: more")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    "state", ["08006", "40P01", "40001", "53100", "53300", "55P03", "57P01", "57P03", None]
)
def test_what_passes_by_itself_or_by_an_operators_hand_is_transient(state: str | None) -> None:
    error = OperationalError("SELECT 1", {}, _FromServer(state))
    found = translate(error, "PostgreSQL at h")
    assert isinstance(found, TransientError)
    assert found.message == "PostgreSQL at h: said the server"
    assert found.hint


def test_an_old_schema_is_transient_and_says_what_to_do() -> None:
    found = translate(OperationalError("SELECT 1", {}, _FromServer("42P01")), "db")
    assert isinstance(found, TransientError)
    assert "migrate" in found.hint


def test_a_statement_that_the_server_does_not_know_is_a_defect() -> None:
    assert isinstance(translate(OperationalError("S", {}, _FromServer("42601")), "db"), PermanentError)


def test_a_fork_gets_connections_of_its_own(database: Database) -> None:
    add(database, "parent")
    with database.read() as held:
        before = held.execute(text("SELECT count(*) FROM projects")).scalar()
        child = os.fork()
        if child == 0:  # pragma: no cover — the child's lines are not seen
            status = 1
            try:
                add(database, "child")
                database.close()
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert held.execute(text("SELECT count(*) FROM projects")).scalar() == 1 + (before or 0)
    add(database, "parent again")
    assert names(database) == ["child", "parent", "parent again"]


def test_a_closed_store_opens_again_when_it_is_used(store: SqlStore) -> None:
    story = Story(store)
    story.begin()
    store.close()
    assert store.load(story.id) == story.state


def test_postgresql_that_restarts_is_used_again(postgres_of_its_own: str) -> None:
    """The server's connections are all cut, as in a restart."""
    store = open_store(postgres_of_its_own, embedded=False)
    story = Story(store)
    story.begin()
    cutter = Database(postgres_of_its_own)
    with cutter.write() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    cutter.close()
    story.launch()
    assert store.load(story.id) == story.state
    store.close()


@pytest.fixture
def postgres_of_its_own(postgres_database: str) -> str:
    migrate(postgres_database)
    return postgres_database


def test_a_writer_in_postgresql_does_not_wait_for_ever(postgres_of_its_own: str) -> None:
    one, two = Database(postgres_of_its_own), Database(postgres_of_its_own, busy_timeout=0.1)
    with one.write() as connection:
        connection.execute(text("INSERT INTO projects VALUES ('a', 1)"))
        with pytest.raises(TransientError, match="hangs"):
            add(two, "a")
    one.close()
    two.close()
