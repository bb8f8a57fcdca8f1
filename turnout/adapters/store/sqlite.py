"""SQLite in a file that several processes share: write-ahead log, one writer at a time.

Writers of one process queue for a lock, and use one connection. Those of several processes compete for SQLite's own
lock; they try again after half a millisecond or so, since SQLite by itself sleeps for up to a tenth of a second.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Literal
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from turnout.core.errors import PermanentError, TransientError

Synchronous = Literal["FULL", "NORMAL"]

LEAST = (3, 35, 0)
"""The first with RETURNING."""
READERS = 8
OVERFLOW = 56
SHORTEST_WAIT, LONGEST_WAIT = 0.0003, 0.001


class SqliteConnections:
    """``busy_timeout`` in seconds. ``synchronous``: ``FULL`` survives a power cut, ``NORMAL`` the death of processes.

    Raises: PermanentError for a library that is too old.
    """

    def __init__(self, path: Path, synchronous: Synchronous, busy_timeout: float) -> None:
        if sqlite3.sqlite_version_info < LEAST:
            least = ".".join(str(part) for part in LEAST)
            raise PermanentError(
                f"SQLite {sqlite3.sqlite_version} is too old", f"use a Python with SQLite {least} or newer"
            )
        self._path = path
        self._synchronous = synchronous
        self._turn = Lock()
        self._deadline = 0.0
        self.reader = self._engine(busy_timeout, READERS)
        self._writer = self._engine(0.0, 1)
        event.listen(self._writer, "begin", self._begin)

    @contextmanager
    def writing(self, wait: float) -> Iterator[Connection]:
        """A transaction that has the right to write. Raises: TransientError after ``wait`` seconds."""
        deadline = time.monotonic() + wait
        if not self._turn.acquire(timeout=wait):
            raise TransientError(
                f"{self._path}: other threads kept writing for {wait:g} s", "it is tried again"
            )
        try:
            self._deadline = deadline
            with self._writer.begin() as connection:
                yield connection
        finally:
            self._turn.release()

    def dispose(self) -> None:
        self.reader.dispose()
        self._writer.dispose()

    def _engine(self, busy_timeout: float, size: int) -> Engine:
        return create_engine(
            "sqlite+pysqlite://",
            creator=lambda: self._connect(busy_timeout),
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=OVERFLOW,
            pool_use_lifo=True,
        )

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

    def _begin(self, connection: Connection) -> None:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection), "the writer's connections are SQLite's"
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > self._deadline:
                    raise
            time.sleep(random.uniform(SHORTEST_WAIT, LONGEST_WAIT))
