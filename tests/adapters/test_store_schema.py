"""Making the tables: once, by whoever comes first, however many come."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from tests.contracts.together import run_together
from turnout.adapters.store import schema
from turnout.adapters.store.database import Database
from turnout.adapters.store.schema import HEAD, migrate, version
from turnout.adapters.store.tables import METADATA
from turnout.core.errors import PermanentError, TransientError


def differences(url: str) -> list[object]:
    database = Database(url)
    with database.read() as connection:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
    database.close()
    return list(found)


def test_the_migrations_make_the_tables_that_the_code_expects(sqlite_database: str) -> None:
    assert differences(sqlite_database) == []


def test_the_migrations_make_the_same_tables_in_postgresql(postgres_tables: str) -> None:
    assert differences(postgres_tables) == []


def test_the_newest_migration_is_the_one_that_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_new_database_is_private_and_has_a_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "new" / "turnout.db"
    migrate(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    database = Database(f"sqlite:///{path}")
    with database.write() as writer:
        writer.execute(text("INSERT INTO projects VALUES ('acme/shop', 1)"))
        beside = [each for each in path.parent.iterdir() if each.is_file()]
        assert {stat.S_IMODE(each.stat().st_mode) for each in beside} == {0o600}
    database.close()


def test_a_second_time_changes_nothing(sqlite_database: str) -> None:
    database = Database(sqlite_database)
    with database.write() as connection:
        connection.execute(text("INSERT INTO projects VALUES ('acme/shop', 7)"))
    migrate(sqlite_database)
    migrate(database)
    with database.read() as connection:
        assert connection.execute(text("SELECT runs FROM projects")).scalar() == 7
    assert version(database) == HEAD
    database.close()


def test_threads_that_start_at_once_make_the_tables_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'turnout.db'}"
    run_together([lambda: migrate(url)] * 4)
    assert differences(url) == []


def start_together(url: str) -> None:
    """Three processes at once."""
    program = "import sys; from turnout.adapters.store.schema import migrate; migrate(sys.argv[1])"
    started = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(3)]
    assert [each.wait(60) for each in started] == [0, 0, 0]


@pytest.mark.real
def test_processes_that_start_at_once_make_the_tables_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'turnout.db'}"
    start_together(url)
    assert differences(url) == []


def test_processes_that_start_at_once_make_the_tables_once_in_postgresql(postgres_database: str) -> None:
    start_together(postgres_database)
    assert differences(postgres_database) == []


def test_the_tables_of_a_newer_version_are_left_alone(sqlite_database: str) -> None:
    database = Database(sqlite_database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(PermanentError, match="newer Turnout"):
        migrate(database)
    database.close()


def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'turnout.db'}"
    upgrade = schema._upgrade

    def fail_late(*args: object) -> None:
        upgrade(*args)  # type: ignore[arg-type]
        raise TransientError("the machine was switched off")

    monkeypatch.setattr(schema, "_upgrade", fail_late)
    with pytest.raises(TransientError):
        migrate(url)
    database = Database(url)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0
    database.close()
    monkeypatch.undo()
    migrate(url)
    assert differences(url) == []


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TransientError, match="TURNOUT_HOME"):
        migrate(f"sqlite:///{tmp_path / 'file' / 'turnout.db'}")


def test_a_server_that_is_away_is_named() -> None:
    with pytest.raises(TransientError, match=r"PostgreSQL at 127\.0\.0\.1"):
        migrate("postgresql+psycopg://nobody:secret@127.0.0.1:1/none")
