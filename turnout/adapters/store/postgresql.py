"""PostgreSQL: read committed, with row locks and unique keys; writers of different rows pass each other."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError

POOL = 8
OVERFLOW = 24


class PostgresConnections:
    """``busy_timeout``: how long a statement waits for a locked row, in seconds."""

    def __init__(self, url: URL, busy_timeout: float) -> None:
        self._busy_timeout = busy_timeout
        wait = int(busy_timeout * 1000)
        self._writer = create_engine(
            url,
            pool_size=POOL,
            max_overflow=OVERFLOW,
            pool_use_lifo=True,
            connect_args={
                "connect_timeout": 10,
                "application_name": "turnout",
                # A process that stops in the middle of a change must not hold its locks for ever.
                "options": f"-c lock_timeout={wait} -c idle_in_transaction_session_timeout={wait * 3}",
            },
        )
        event.listen(self._writer, "checkout", _replace_if_cut)
        self.reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def writing(self, wait: float) -> Iterator[Connection]:
        """``wait``: like ``busy_timeout``, for this transaction; never longer than that."""
        with self._writer.begin() as connection:
            if wait < self._busy_timeout:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(int(wait * 1000), 1)}")
            yield connection

    def dispose(self) -> None:
        self._writer.dispose()


def _replace_if_cut(connection: psycopg.Connection[Any], _record: object, _proxy: object) -> None:
    """After a restart of the server, its old connections are replaced unseen: such a one has something to read, its
    end, while one that is well has nothing to say. This costs no round trip, as a ping would."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError("the server has ended this connection")
