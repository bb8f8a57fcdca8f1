"""Bring a database to the tables of this version: `migrate`, called by whatever starts first, or by a job alone.

Any number of processes may call it at once: one works, the others wait and find it done. Alembic is imported only when
there is something to do. Tables are changed so that the version before this one can go on (docs/upgrades.md).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from turnout.adapters.store.database import Database
from turnout.adapters.store.tables import METADATA
from turnout.core.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0010"
"""The newest migration; a test holds it to what is in ``migrations/versions``."""

_ADVISORY_LOCK = 0x7475726E6F7574  # "turnout"
_VERSION = text("SELECT version_num FROM alembic_version")
_COUNTERS = text(
    "SELECT of.relname, counter.relname FROM pg_class counter JOIN pg_depend ON objid = counter.oid"
    " JOIN pg_class of ON of.oid = refobjid"
    " WHERE counter.relkind = 'S' AND deptype IN ('a', 'i') AND of.relnamespace = current_schema()::regnamespace"
)
"""Table to the sequence that numbers its rows."""


def migrate(url: str | Database, roles: Sequence[str] = ()) -> tuple[str, ...]:
    """Make the database (SQLite: the file, mode 0600), or bring its tables to this version. Idempotent.

    ``roles``: of the server, as `turnout.adapters.store.rights.read_role` takes them, that may use the tables from then
    on. The migrations that were done, the oldest first, with what they are about.

    Raises: TransientError (the server is away, the disk full), PermanentError (a newer Turnout has been here; a role
    that there is not).
    """
    if isinstance(url, Database):
        return _migrate(url, roles)
    database = Database(url)
    try:
        return _migrate(database, roles)
    finally:
        database.close()


def require(database: Database) -> None:
    """Nothing is changed. Tables of a newer version will do: they are made so that this one can go on.

    Raises: TransientError: they are missing, or older than this version asks for.
    """
    found = version(database)
    if found < HEAD:
        there = f"the tables are at {found}" if found else "there are no tables"
        raise TransientError(
            f"{database.name}: {there}, this version asks for {HEAD}",
            "run `turnout migrate`: it goes on then",
        )


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


def _migrate(database: Database, roles: Sequence[str]) -> tuple[str, ...]:
    if version(database) == HEAD and not roles:
        return ()
    if database.path is not None:
        _create(database.path)
    lock = _file_lock(database.path) if database.path is not None else _server_lock(database)
    with lock:
        if database.path is not None:
            _write_ahead(database.path)
        before = version(database)
        if before != HEAD:
            with database.write() as connection:
                _upgrade(connection, database)
        if roles:
            with database.write() as connection:
                _open_to(connection, roles)
    return _since(before) if before != HEAD else ()


def _upgrade(connection: Connection, database: Database) -> None:
    from alembic import command
    from alembic.util import CommandError

    config = _alembic()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise PermanentError(
            f"{database.name}: {error}",
            "a newer Turnout has changed the tables, and they are not changed back: use that version, or a copy",
        ) from error


def _since(before: str) -> tuple[str, ...]:
    from alembic.script import ScriptDirectory

    done = ScriptDirectory.from_config(_alembic()).iterate_revisions("head", before or "base")
    return tuple(f"{each.revision} {each.doc}" for each in reversed(list(done)))


def _alembic() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _open_to(connection: Connection, roles: Sequence[str]) -> None:
    """Of PostgreSQL. Whoever makes the tables owns them; others may look for their version, and do what
    `turnout.adapters.store.rights` says.

    Raises: PermanentError for a role or a part that there is not, before anything is granted.
    """
    from turnout.adapters.store.rights import ADD, read_role, rights

    opened = [read_role(each) for each in roles]
    known = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    if missing := [role for _, role in opened if role not in known]:
        raise PermanentError(
            f"the database has no role {missing[0]!r}", "make it, or mend TURNOUT_DATABASE_ROLES"
        )
    quote = connection.dialect.identifier_preparer.quote_identifier
    counters = {table: name for table, name in connection.execute(_COUNTERS)}  # noqa: C416 — rows are no pairs
    tables = ", ".join(quote(each.name) for each in METADATA.sorted_tables)
    every = ", ".join(quote(each) for each in counters.values())
    for part, role in opened:
        to = quote(role)
        connection.exec_driver_sql(f"REVOKE ALL ON {tables}, alembic_version FROM {to}")
        connection.exec_driver_sql(f"REVOKE ALL ON SEQUENCE {every} FROM {to}")
        connection.exec_driver_sql(f"GRANT SELECT ON alembic_version TO {to}")
        for table, may in rights(part).items():
            connection.exec_driver_sql(f"GRANT {', '.join(sorted(may))} ON {quote(table)} TO {to}")
            if ADD in may and table in counters:
                connection.exec_driver_sql(f"GRANT USAGE ON SEQUENCE {quote(counters[table])} TO {to}")


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
