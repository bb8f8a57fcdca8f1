"""PostgreSQL: read committed, with row locks and unique keys; writers of different rows pass each other.

A transaction's statements are sent in a pipeline: the server answers them in one go, when an answer is asked for.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError

from turnout.adapters.store.link import Dialect, Statement

POOL = 8
OVERFLOW = 24
CUT_OFF: Mapping[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""A server that is cut off without a word (a cable, a firewall that forgot us) is given up after some 15 s, be it that
we speak or that we wait for an answer; without these, after a quarter of an hour, or never.
Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES-IDLE, tcp(7)"""
_Raw = psycopg.Connection[tuple[Any, ...]]


class PostgresAnswer:
    __slots__ = ("_cursor", "_pipeline", "_rows")

    def __init__(
        self, cursor: psycopg.Cursor[tuple[Any, ...]], pipeline: psycopg.Pipeline | None, returns: bool
    ) -> None:
        self._cursor = cursor
        self._pipeline = pipeline
        self._rows: Sequence[tuple[Any, ...]] | None = None if returns else ()

    @property
    def count(self) -> int:
        self._wait()
        return self._cursor.rowcount

    @property
    def rows(self) -> Sequence[tuple[Any, ...]]:
        if self._rows is None:
            self._wait()
            self._rows = self._cursor.fetchall()
        return self._rows

    def _wait(self) -> None:
        if self._pipeline is not None:
            if self._cursor.statusmessage is None:
                self._pipeline.sync()
            self._pipeline = None


class PostgresLink:
    """``pipeline``: of the transaction; None: each statement is one, and is answered at once."""

    dialect: Dialect = "postgresql"

    def __init__(self, raw: _Raw, pipeline: psycopg.Pipeline | None = None) -> None:
        self._raw = raw
        self._pipeline = pipeline

    def send(self, statement: Statement, values: Mapping[str, Any]) -> PostgresAnswer:
        cursor = self._raw.execute(statement.postgresql, values)
        return PostgresAnswer(cursor, self._pipeline, statement.returns)

    def send_many(self, statement: Statement, values: Sequence[Mapping[str, Any]]) -> None:
        for each in values:
            self._raw.execute(statement.postgresql, each)


class PostgresConnections:
    """``busy_timeout``: how long a statement waits for a locked row, in seconds. ``sign_in``: what each
    connection needs besides the URL."""

    errors = psycopg.Error

    def __init__(
        self, url: URL, busy_timeout: float, sign_in: Callable[[], Mapping[str, Any]] = dict
    ) -> None:
        self._busy_timeout = busy_timeout
        self._sign_in = sign_in
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        wait = int(busy_timeout * 1000)
        self._arguments: dict[str, Any] = {
            "connect_timeout": 10,
            **CUT_OFF,
            "application_name": "turnout",
            # A process that stops in the middle of a change must not hold its locks for ever.
            "options": f"-c lock_timeout={wait} -c idle_in_transaction_session_timeout={wait * 3}",
        }
        self._free: deque[_Raw] = deque()
        self._writer = create_engine(
            url,
            pool_size=POOL,
            max_overflow=OVERFLOW,
            pool_use_lifo=True,
            connect_args=self._arguments,
        )
        event.listen(self._writer, "checkout", _replace_if_cut)
        event.listen(
            self._writer, "do_connect", lambda _dialect, _record, _args, given: given.update(sign_in())
        )
        self.reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def looking(self) -> Iterator[PostgresLink]:
        """Each statement is a transaction."""
        with self._borrowed() as raw:
            yield PostgresLink(raw)

    @contextmanager
    def changing(self, wait: float) -> Iterator[PostgresLink]:
        """``wait``: like ``busy_timeout``, for this transaction; never longer than that."""
        with self._borrowed() as raw, raw.pipeline() as pipeline:
            try:
                raw.execute("BEGIN")
                if wait < self._busy_timeout:
                    raw.execute(f"SET LOCAL lock_timeout = {max(int(wait * 1000), 1)}")
                yield PostgresLink(raw, pipeline)
                # Whatever failed and was not asked for keeps the server from coming to this.
                done = raw.execute("COMMIT")
                pipeline.sync()
                if done.statusmessage != "COMMIT":
                    raise psycopg.InternalError("the transaction had failed before its end")
            except BaseException:
                _undo(raw, pipeline)
                raise

    @contextmanager
    def writing(self, wait: float) -> Iterator[Connection]:
        """The same for SQLAlchemy."""
        with self._writer.begin() as connection:
            if wait < self._busy_timeout:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(int(wait * 1000), 1)}")
            yield connection

    def dispose(self) -> None:
        self._writer.dispose()
        while self._free:
            self._free.pop().close()

    @contextmanager
    def _borrowed(self) -> Iterator[_Raw]:
        raw = self._take()
        try:
            yield raw
        finally:
            if raw.closed or raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                raw.close()
            elif len(self._free) < POOL:
                self._free.append(raw)
            else:
                raw.close()

    def _take(self) -> _Raw:
        while self._free:
            try:
                raw = self._free.pop()
            except IndexError:
                break  # another thread was faster
            if not _cut(raw):
                return raw
            raw.close()
        return psycopg.connect(self._address, autocommit=True, **self._arguments, **self._sign_in())


def _undo(raw: _Raw, pipeline: psycopg.Pipeline) -> None:
    try:
        pipeline.sync()  # what was under way and is not wanted any more may have failed, too
    except psycopg.Error:
        pass
    try:
        raw.execute("ROLLBACK")
        pipeline.sync()
    except psycopg.Error:
        raw.close()  # broken: the server takes everything back by itself


def _replace_if_cut(connection: psycopg.Connection[Any], _record: object, _proxy: object) -> None:
    """After a restart of the server, its old connections are replaced unseen."""
    if _cut(connection):
        raise DisconnectionError("the server has ended this connection")


def _cut(connection: psycopg.Connection[Any]) -> bool:
    """Such a one has something to read, its end, while one that is well has nothing to say. This costs no round trip,
    as a ping would."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
