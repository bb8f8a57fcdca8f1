"""Clients that send a request drop by drop: it has to arrive within a time, or nobody listens on.

The server reads a request on one of a few threads, which waits for as long as the client likes; a handful of such
clients would stop everybody else's functions. After `WITHIN` seconds the reading side of the connection is shut: the
waiting thread sees the end of the request, refuses it, and is free.
"""

from __future__ import annotations

import socket
import threading
import time

WITHIN = 10.0
"""Seconds, as long as GitHub itself takes for a whole delivery."""
LOOK = 0.5  # seconds between looks while requests come


class SlowClients:
    """Thread-safe. Its own thread begins with the first request, so that a process can fork before."""

    def __init__(self, within: float = WITHIN) -> None:
        self._within = within
        self._reading: dict[object, tuple[float, socket.socket]] = {}
        self._changed = threading.Condition()
        self._idle = True
        self._begun = 0
        self._thread: threading.Thread | None = None

    def begin(self, connection: socket.socket) -> object:
        """From now on the clock runs; `end` takes what is returned."""
        ticket = object()
        with self._changed:
            self._reading[ticket] = (time.monotonic() + self._within, connection)
            self._begun += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="slow-clients", daemon=True)
                self._thread.start()
            elif self._idle:
                self._changed.notify()
        return ticket

    def end(self, ticket: object) -> None:
        """All of it is there; twice is fine."""
        with self._changed:
            self._reading.pop(ticket, None)

    def _watch(self) -> None:
        seen = 0
        while True:
            with self._changed:
                # Awake while requests come one after another, so that not each of them has to wake this thread.
                self._idle, seen = not self._reading and self._begun == seen, self._begun
                self._changed.wait(None if self._idle else LOOK)
                self._idle = False
                now = time.monotonic()
                late = {ticket: each for ticket, (until, each) in self._reading.items() if until <= now}
                for ticket in late:
                    del self._reading[ticket]
            for connection in late.values():
                try:
                    connection.shutdown(socket.SHUT_RD)
                except OSError:
                    pass  # it has just gone by itself


SLOW_CLIENTS = SlowClients()
"""Of this process."""
