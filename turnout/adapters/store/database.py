"""A database and its transactions: SQLite in a file, or PostgreSQL.

Connections are made by the process that uses them: what a fork inherited is never touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from turnout.adapters.store.failures import translated
from turnout.adapters.store.link import Link
from turnout.core.errors import PermanentError

Synchronous = Literal["FULL", "NORMAL"]

EXPECTED = "use sqlite:///path/to/turnout.db or postgresql+psycopg://user:password@host/database"

_inherited: list[object] = []
"""Connections of the process that forked us: kept, since closing them would disturb the parent's."""


class Connections(Protocol):
    """What a kind of database gives: `looking` for single statements, `changing` for a transaction, and ``reader`` and
    `writing` for those who need SQLAlchemy. ``errors``: what its driver raises."""

    @property
    def reader(self) -> Engine: ...

    @property
    def errors(self) -> type[Exception]: ...

    def looking(self) -> AbstractContextManager[Link]: ...

    def changing(self, wait: float) -> AbstractContextManager[Link]: ...

    def writing(self, wait: float) -> AbstractContextManager[Connection]: ...

    def dispose(self) -> None: ...


class Database:
    """``url``: ``sqlite:///path`` or ``postgresql+psycopg://…``. ``busy_timeout``: how long a writer waits for others,
    in seconds. ``synchronous``: ``FULL`` survives a power cut, ``NORMAL`` only the death of processes (SQLite).
    ``password``: asked for each connection to a server that is made, instead of the URL's.

    Raises: PermanentError for any other URL. Nothing is opened before it is used.
    """

    def __init__(
        self,
        url: str,
        *,
        synchronous: Synchronous = "FULL",
        busy_timeout: float = 10.0,
        password: Callable[[], str] | None = None,
    ) -> None:
        self.url = _parse(url)
        self._password = password
        sqlite = self.url.get_backend_name() == "sqlite"
        self.path = Path(str(self.url.database)).absolute() if sqlite else None
        self.name = str(self.path) if self.path else f"PostgreSQL at {self.url.host or 'localhost'}"
        self.busy_timeout = busy_timeout
        self._synchronous: Synchronous = synchronous
        self._opened: dict[int, Connections] = {}  # by process

    def sign_in(self) -> Mapping[str, Any]:
        """What a connection to a server needs besides the URL. Raises: TransientError: it can't be had now."""
        return {} if self._password is None else {"password": self._password()}

    @contextmanager
    def look(self) -> Iterator[Link]:
        """Each statement sees what is committed by then. Raises: TransientError, PermanentError."""
        connections = self._connections()
        with translated(self.name, connections.errors), connections.looking() as link:
            yield link

    @contextmanager
    def change(self, timeout: float | None = None) -> Iterator[Link]:
        """One transaction: all of the block, durable when it ends, or nothing where it raises.

        ``timeout``: seconds to wait for other writers, at most ``busy_timeout``.
        Raises: TransientError, PermanentError.
        """
        connections = self._connections()
        with translated(self.name, connections.errors), connections.changing(self._wait(timeout)) as link:
            yield link

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """`look` with SQLAlchemy, for statements that are composed, and rare."""
        connections = self._connections()
        with translated(self.name, connections.errors), connections.reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self, timeout: float | None = None) -> Iterator[Connection]:
        """`change` with SQLAlchemy."""
        connections = self._connections()
        with (
            translated(self.name, connections.errors),
            connections.writing(self._wait(timeout)) as connection,
        ):
            yield connection

    def _wait(self, timeout: float | None) -> float:
        return self.busy_timeout if timeout is None else max(min(timeout, self.busy_timeout), 0.001)

    def close(self) -> None:
        """Close the connections of this process; the next use makes new ones."""
        opened = self._opened.pop(os.getpid(), None)
        self._leave_inherited()
        if opened is not None:
            opened.dispose()

    def _connections(self) -> Connections:
        opened = self._opened.get(os.getpid())
        if opened is None:
            self._leave_inherited()
            # Of two threads that come here at once, one wins; the other's has not connected to anything yet.
            opened = self._opened.setdefault(os.getpid(), self._connect())
        return opened

    def _leave_inherited(self) -> None:
        for pid in self._opened.keys() - {os.getpid()}:
            _inherited.append(self._opened.pop(pid, None))

    def _connect(self) -> Connections:
        if self.path is not None:
            from turnout.adapters.store.sqlite import SqliteConnections

            return SqliteConnections(self.path, self._synchronous, self.busy_timeout)
        from turnout.adapters.store.postgresql import PostgresConnections

        return PostgresConnections(self.url, self.busy_timeout, self.sign_in)


def _parse(url: str) -> URL:
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise PermanentError("the database URL can't be read", EXPECTED) from error
    if found.drivername in ("postgresql", "postgres"):
        found = found.set(drivername="postgresql+psycopg")
    match found.drivername:
        case "sqlite" | "sqlite+pysqlite":
            if found.database in (None, "", ":memory:"):
                raise PermanentError("SQLite needs a file: processes share it", EXPECTED)
        case "postgresql+psycopg":
            pass
        case other:
            raise PermanentError(f"databases of the kind {other!r} aren't supported", EXPECTED)
    return found
