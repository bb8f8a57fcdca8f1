"""Wake-ups through PostgreSQL's own LISTEN and NOTIFY: rung by the server at the commit, to every host.

Source: https://www.postgresql.org/docs/current/sql-notify.html
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import psycopg

from turnout.adapters.store.database import Database
from turnout.adapters.store.link import Link, Statement
from turnout.adapters.store.postgresql import CUT_OFF
from turnout.core.errors import TransientError

CHANNEL = "turnout_log"
LONGEST_PAYLOAD = 7900
"""Bytes; the server takes 7,999."""
EVERYTHING = "*"
_NOTIFY = Statement("SELECT pg_notify(:channel, :names)")


class NotifyBell:
    def __init__(self, database: Database) -> None:
        self._url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._name = database.name
        self._sign_in = database.sign_in

    def ring_within(self, link: Link, names: Collection[str]) -> None:
        payload = "\n".join(sorted(names))
        if len(payload.encode()) > LONGEST_PAYLOAD:
            payload = EVERYTHING
        link.send(_NOTIFY, {"channel": CHANNEL, "names": payload})

    def ring(self, names: Collection[str]) -> None:
        """Done by the server at the commit."""

    def listen(self, names: Collection[str]) -> NotifyListener:
        return NotifyListener(self._url, self._sign_in, self._name, frozenset(names))


class NotifyListener:
    """Keeps a connection of its own. When that breaks, waits go on by time alone until there is a new one."""

    def __init__(
        self, url: str, sign_in: Callable[[], Mapping[str, Any]], server: str, names: frozenset[str]
    ) -> None:
        self._url = url
        self._sign_in = sign_in
        self._names = names
        self._woken = False
        self._rung = False
        self._own, self._others = socket.socketpair()
        self._own.setblocking(False)
        self._others.setblocking(False)
        try:
            self._connection: psycopg.Connection[Any] | None = self._connect()
        except (psycopg.Error, TransientError) as error:
            self._own.close()
            self._others.close()
            raise TransientError(f"{server}: {error}", "it is tried again") from error

    def clear(self) -> bool:
        deaf = self._connection is None
        if deaf:
            try:
                self._connection = self._connect()
            except (psycopg.Error, TransientError):
                pass  # the caller is about to ask the database, and hears of it there
        self._listen()
        self._drain()
        rung, self._rung = self._rung, False
        return rung or deaf

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not self._woken and not self._listen():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            poll = select.poll()
            poll.register(self._own, select.POLLIN)
            if self._connection is not None:
                poll.register(self._connection.fileno(), select.POLLIN)
            poll.poll(left * 1000)
        woken, self._woken = self._woken, False
        return woken

    def wake(self) -> None:
        self._woken = True
        try:
            self._others.send(b"w")
        except OSError:
            return  # closed, or full, and then it is awake anyway

    def close(self) -> None:
        self._drop()
        self._own.close()
        self._others.close()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=10,
            application_name="turnout listener",
            **CUT_OFF,
            **self._sign_in(),
        )
        connection.execute(f"LISTEN {CHANNEL}")
        return connection

    def _listen(self) -> bool:
        """Whether a notification that concerns us has come since `clear`; all that have come are taken."""
        if self._connection is None:
            return self._rung
        try:
            server = self._connection.pgconn
            server.consume_input()
            while (notice := server.notifies()) is not None:
                rung = notice.extra.decode().split("\n")
                self._rung |= rung == [EVERYTHING] or not self._names.isdisjoint(rung)
        except psycopg.Error:
            self._drop()
            self._rung = True  # who knows
        return self._rung

    def _drain(self) -> None:
        try:
            while self._own.recv(64):
                pass
        except BlockingIOError:
            return

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
