"""Bring a database to the tables of this version: `migrate`, called once by whatever starts first.

Any number of processes may call it at once: one works, the others wait and find it done. Alembic is imported only when
there is something to do.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from turnout.adapters.store.database import Database
from turnout.core.errors import PermanentError, TransientError

HEAD = "0009"
"""The newest migration; a test holds it to what is in ``migrations/versions``."""

_ADVISORY_LOCK = 0x7475726E6F7574  # "turnout"
_VERSION = text("SELECT version_num FROM alembic_version")


def migrate(url: str | Database) -> None:
    """Make the database (SQLite: the file, mode 0600), or bring its tables to this version. Idempotent.

    Raises: TransientError (the server is away, the disk full), PermanentError (a newer Turnout has been here).
    """
    if isinstance(url, Database):
        _migrate(url)
        return
    database = Database(url)
    try:
        _migrate(database)
    finally:
        database.close()


def version(database: Database) -> str:
    """The migration that the database is at, empty: none yet."""
    if database.path is not None and not database.path.exists():
        return ""
    with database.read() as connection:
        try:
            return str(connection.execute(_VERSION).scalar() or "")
        except DBAPIError as error:
            if isinstance(error, OperationalError) and "no such table" not in str(error.orig):
                raise
            if database.path is None and getattr(error.orig, "sqlstate", "") != "42P01":
                raise
            return ""


def _migrate(database: Database) -> None:
    if version(database) == HEAD:
        return
    if database.path is not None:
        _create(database.path)
    lock = _file_lock(database.path) if database.path is not None else _server_lock(database)
    with lock:
        if database.path is not None:
            _write_ahead(database.path)
        if version(database) != HEAD:
            with database.write() as connection:
                _upgrade(connection, database)


def _upgrade(connection: Connection, database: Database) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise PermanentError(
            f"{database.name}: {error}", "a newer Turnout has changed the tables: use that version, or a copy"
        ) from error


def _create(path: Path) -> None:
    """The log and index files that SQLite puts beside it get the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise TransientError(
            f"{path}: {error.strerror}", "make the folder writable, or choose another TURNOUT_HOME"
        ) from error


def _write_ahead(path: Path) -> None:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        raise TransientError(f"{path}: {error}", "another program has it open: stop that") from error
    finally:
        connection.close()


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _server_lock(database: Database) -> Iterator[None]:
    """Held by a connection of its own; the server lets go of it when that connection ends, however it ends."""
    with database.read() as connection:
        connection.execute(text("SELECT set_config('lock_timeout', '0', false)"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        try:
            yield
        finally:
            connection.invalidate()  # closed, not given back: the lock and the setting are gone with it
