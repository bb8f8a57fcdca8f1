"""SQLite in a file that several processes share: write-ahead log, one writer at a time.

Writers of one process queue for a lock, and use one connection, which stays open. Those of several processes take
turns (`turnout.adapters.store.sqlite_turn`). Other programs may hold SQLite's own lock all the same: it is tried again
after half a millisecond or so, since SQLite by itself sleeps for up to a tenth of a second.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

from turnout.adapters.store.link import Dialect, Statement
from turnout.adapters.store.sqlite_turn import Turn
from turnout.core.errors import PermanentError, TransientError

Synchronous = Literal["FULL", "NORMAL"]

LEAST = (3, 35, 0)
"""The first with RETURNING."""
READERS = 8
OVERFLOW = 56
SHORTEST_WAIT, LONGEST_WAIT = 0.0003, 0.001


class SqliteAnswer:
    __slots__ = ("count", "rows")

    def __init__(self, count: int, rows: Sequence[tuple[Any, ...]]) -> None:
        self.count = count
        self.rows = rows


class SqliteLink:
    dialect: Dialect = "sqlite"

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def send(self, statement: Statement, values: Mapping[str, Any]) -> SqliteAnswer:
        cursor = self._raw.execute(statement.sqlite, values)
        if not statement.returns:
            return SqliteAnswer(cursor.rowcount, ())
        rows = cursor.fetchall()
        return SqliteAnswer(len(rows), rows)

    def send_many(self, statement: Statement, values: Sequence[Mapping[str, Any]]) -> None:
        self._raw.executemany(statement.sqlite, values)


class SqliteConnections:
    """``busy_timeout`` in seconds. ``synchronous``: ``FULL`` survives a power cut, ``NORMAL`` the death of processes.

    Raises: PermanentError for a library that is too old.
    """

    errors = sqlite3.Error

    def __init__(self, path: Path, synchronous: Synchronous, busy_timeout: float) -> None:
        if sqlite3.sqlite_version_info < LEAST:
            least = ".".join(str(part) for part in LEAST)
            raise PermanentError(
                f"SQLite {sqlite3.sqlite_version} is too old", f"use a Python with SQLite {least} or newer"
            )
        self._path = path
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._among_threads = Lock()
        self._among_processes = Turn(path)
        self._deadline = 0.0
        self._raw: sqlite3.Connection | None = None
        self._free: deque[sqlite3.Connection] = deque()
        self.reader = create_engine(
            "sqlite+pysqlite://",
            creator=lambda: self._connect(busy_timeout),
            poolclass=QueuePool,
            pool_size=READERS,
            max_overflow=OVERFLOW,
            pool_use_lifo=True,
        )
        self._writer = create_engine("sqlite+pysqlite://", creator=self._the_writer, poolclass=StaticPool)
        event.listen(self._writer, "begin", self._begin_in_engine)

    @contextmanager
    def looking(self) -> Iterator[SqliteLink]:
        """Each statement is a transaction."""
        try:
            raw = self._free.pop()
        except IndexError:
            raw = self._connect(self._busy_timeout)
        try:
            yield SqliteLink(raw)
        finally:
            self._free.append(raw)

    @contextmanager
    def changing(self, wait: float) -> Iterator[SqliteLink]:
        """A transaction that has the right to write. Raises: TransientError after ``wait`` seconds."""
        with self._in_turn(wait):
            raw = self._the_writer()
            self._begin(raw)
            try:
                yield SqliteLink(raw)
                raw.execute("COMMIT")
            except BaseException:
                self._undo(raw)
                raise

    @contextmanager
    def writing(self, wait: float) -> Iterator[Connection]:
        """The same for SQLAlchemy, over the same connection."""
        with self._in_turn(wait), self._writer.begin() as connection:
            yield connection

    def dispose(self) -> None:
        self.reader.dispose()
        self._writer.dispose()
        while self._free:
            self._free.pop().close()
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        self._among_processes.close()

    @contextmanager
    def _in_turn(self, wait: float) -> Iterator[None]:
        deadline = time.monotonic() + wait
        if not self._among_threads.acquire(timeout=wait):
            raise TransientError(
                f"{self._path}: other threads kept writing for {wait:g} s", "it is tried again"
            )
        try:
            self._deadline = deadline
            self._among_processes.take(deadline - time.monotonic())
            try:
                yield
            finally:
                self._among_processes.give()
        finally:
            self._among_threads.release()

    def _the_writer(self) -> sqlite3.Connection:
        """In our turn."""
        if self._raw is None:
            self._raw = self._connect(0.0)
        return self._raw

    def _undo(self, raw: sqlite3.Connection) -> None:
        try:
            if raw.in_transaction:  # some errors have ended it already
                raw.execute("ROLLBACK")
        except sqlite3.Error:
            self._writer.dispose()  # the next writer begins with another connection
            raw.close()
            self._raw = None

    def _connect(self, busy_timeout: float) -> sqlite3.Connection:
        # mode=rw: a database that isn't there is an error, never a new empty one
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=rw",
            uri=True,
            timeout=busy_timeout,
            isolation_level=None,  # readers: each statement is a transaction; writers: `_begin` begins it
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

    def _begin_in_engine(self, connection: Connection) -> None:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection), "the writer's connections are SQLite's"
        self._begin(raw)

    def _begin(self, raw: sqlite3.Connection) -> None:
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > self._deadline:
                    raise
            time.sleep(random.uniform(SHORTEST_WAIT, LONGEST_WAIT))
