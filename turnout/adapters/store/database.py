"""A database and its transactions: SQLite in a file, or PostgreSQL.

SQLite: write-ahead log, ``BEGIN IMMEDIATE`` for whoever writes, a connection for one thread at a time; writers of one
process queue here, those of several wait for each other in SQLite. PostgreSQL: read committed, with row locks and
unique keys. Connections are made by the process that uses them: what a fork inherited is never touched.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from turnout.adapters.store.failures import translated
from turnout.core.errors import PermanentError, TransientError

Dialect = Literal["sqlite", "postgresql"]
Synchronous = Literal["FULL", "NORMAL"]

LEAST_SQLITE = (3, 35, 0)
"""The first with RETURNING."""
POOL = 8
OVERFLOW = 56

_inherited: list[object] = []
"""Engines of the process that forked us: kept, since closing their connections would disturb the parent's."""


@dataclass(frozen=True, slots=True)
class _Opened:
    pid: int
    engine: Engine
    reader: Engine
    writer: Engine
    turn: Lock | _OpenDoor


class Database:
    """``url``: ``sqlite:///path`` or ``postgresql+psycopg://…``. ``busy_timeout``: how long a writer waits for others,
    in seconds. ``synchronous``: ``FULL`` survives a power cut, ``NORMAL`` only the death of processes (SQLite).

    Raises: PermanentError for any other URL. Nothing is opened before it is used.
    """

    def __init__(self, url: str, *, synchronous: Synchronous = "FULL", busy_timeout: float = 10.0) -> None:
        self.url = _parse(url)
        self.dialect: Dialect = "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"
        self.path = Path(str(self.url.database)).absolute() if self.dialect == "sqlite" else None
        self.name = str(self.path) if self.path else f"PostgreSQL at {self.url.host or 'localhost'}"
        self.busy_timeout = busy_timeout
        self._synchronous = synchronous
        self._opened: _Opened | None = None

    @property
    def engine(self) -> Engine:
        """The engine of this process."""
        return self._current().engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Each statement sees what is committed by then. Raises: TransientError, PermanentError."""
        opened = self._current()
        with translated(self.name), opened.reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self, timeout: float | None = None) -> Iterator[Connection]:
        """One transaction: all of the block, durable when it ends, or nothing where it raises.

        ``timeout``: seconds to wait for other writers, at most ``busy_timeout``.
        Raises: TransientError, PermanentError.
        """
        opened = self._current()
        wait = self.busy_timeout if timeout is None else min(timeout, self.busy_timeout)
        if not opened.turn.acquire(timeout=max(wait, 0.001)):
            raise TransientError(
                f"{self.name}: other threads kept writing for {wait:g} s", "it is tried again"
            )
        writer = opened.writer
        if wait < self.busy_timeout:
            writer = writer.execution_options(turnout_wait=max(int(wait * 1000), 1))
        try:
            with translated(self.name), writer.begin() as connection:
                yield connection
        finally:
            opened.turn.release()

    def close(self) -> None:
        """Close the connections of this process; the next use makes new ones."""
        opened, self._opened = self._opened, None
        if opened is not None and opened.pid == os.getpid():
            opened.engine.dispose()

    def _current(self) -> _Opened:
        opened = self._opened
        if opened is None or opened.pid != os.getpid():
            if opened is not None:
                _inherited.append(opened)
            opened = self._opened = self._open()
        return opened

    def _open(self) -> _Opened:
        engine = self._sqlite() if self.dialect == "sqlite" else self._postgresql()
        reader = engine.execution_options(isolation_level="AUTOCOMMIT") if self.path is None else engine
        writer = engine.execution_options(turnout_begin="BEGIN IMMEDIATE") if self.path else engine
        # PostgreSQL lets writers of different rows pass each other: no queue there.
        return _Opened(os.getpid(), engine, reader, writer, Lock() if self.path else _OpenDoor())

    def _postgresql(self) -> Engine:
        wait = int(self.busy_timeout * 1000)
        engine = create_engine(
            self.url,
            pool_size=POOL,
            max_overflow=OVERFLOW,
            pool_pre_ping=True,
            pool_use_lifo=True,
            connect_args={
                "connect_timeout": 10,
                "application_name": "turnout",
                # A process that stops in the middle of a change must not hold its locks for ever.
                "options": f"-c lock_timeout={wait} -c idle_in_transaction_session_timeout={wait * 3}",
            },
        )
        event.listen(engine, "begin", _begin_postgresql)
        return engine

    def _sqlite(self) -> Engine:
        if sqlite3.sqlite_version_info < LEAST_SQLITE:
            least = ".".join(str(part) for part in LEAST_SQLITE)
            raise PermanentError(
                f"SQLite {sqlite3.sqlite_version} is too old", f"use a Python with SQLite {least} or newer"
            )
        engine = create_engine(
            "sqlite+pysqlite://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=POOL,
            max_overflow=OVERFLOW,
            pool_use_lifo=True,
        )
        event.listen(engine, "begin", self._begin)
        return engine

    def _begin(self, connection: Connection) -> None:
        """Readers get no transaction: each of their statements is one. Writers get theirs at once, or wait."""
        options = connection.get_execution_options()
        if "turnout_begin" not in options:
            return
        shorter = options.get("turnout_wait")
        if shorter is None:
            connection.exec_driver_sql(options["turnout_begin"])
            return
        connection.exec_driver_sql(f"PRAGMA busy_timeout={shorter}")
        try:
            connection.exec_driver_sql(options["turnout_begin"])
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={int(self.busy_timeout * 1000)}")

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a database that isn't there is an error, never a new empty one
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw",
            uri=True,
            timeout=self.busy_timeout,
            isolation_level=None,  # transactions begin where `_begin` says so
            check_same_thread=False,  # the pool hands a connection to one thread at a time
            cached_statements=256,
        )
        try:
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA cache_size=-16000")
            connection.execute("PRAGMA journal_size_limit=67108864")
        except BaseException:
            connection.close()
            raise
        return connection


class _OpenDoor:
    """In a lock's place where there is nothing to queue for."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: ARG002 — a lock's signature
        return True

    def release(self) -> None: ...


def _begin_postgresql(connection: Connection) -> None:
    shorter = connection.get_execution_options().get("turnout_wait")
    if shorter is not None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {shorter}")


def _parse(url: str) -> URL:
    expected = "use sqlite:///path/to/turnout.db or postgresql+psycopg://user:password@host/database"
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise PermanentError("the database URL can't be read", expected) from error
    if found.drivername in ("postgresql", "postgres"):
        found = found.set(drivername="postgresql+psycopg")
    match found.drivername:
        case "sqlite" | "sqlite+pysqlite":
            if found.database in (None, "", ":memory:"):
                raise PermanentError("SQLite needs a file: processes share it", expected)
        case "postgresql+psycopg":
            pass
        case other:
            raise PermanentError(f"databases of the kind {other!r} aren't supported", expected)
    return found


def scalar(connection: Connection, statement: Any, **values: object) -> Any:
    """The first column of the first row, None where there is no row."""
    row = connection.execute(statement, values).first()
    return None if row is None else row[0]
