"""gunicorn's threaded worker for clients of two kinds: the slow, who must not hold a thread, and the dispatcher.

Its threads wait for no client longer than `turnout.adapters.slow_clients` allows. And a thread that has answered stays
with its connection for a moment, since the next request often comes at once: to give the connection back to the poller
and to take it from there again costs more than everything else about a small request (0.3 of 0.45 ms of CPU).
"""

from __future__ import annotations

import select
import threading
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from turnout.adapters.slow_clients import SLOW_CLIENTS

STAY = 1.0
"""Seconds that a thread stays with a connection that it has answered on. A third of the threads never does."""


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """The head of a request is watched here, its body where it is read (`turnout.serving.read_body`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seats = threading.BoundedSemaphore(max(self.cfg.threads * 2 // 3, 1))

    def handle(self, conn: Any) -> Any:
        while True:
            conn.reading = SLOW_CLIENTS.begin(conn.sock)
            try:
                kept = super().handle(conn)
            finally:
                SLOW_CLIENTS.end(conn.reading)
            if kept is not True or not self._more_comes(conn):
                return kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        SLOW_CLIENTS.end(conn.reading)
        return super().handle_request(req, conn)

    def _more_comes(self, conn: Any) -> bool:
        """Whether the next request is there, or comes within a moment."""
        if conn.parser.unreader.buf.getvalue():
            return True  # it came together with the one before
        if not self.alive or not self._seats.acquire(blocking=False):
            return False
        try:
            poll = select.poll()
            poll.register(conn.sock, select.POLLIN)
            return bool(poll.poll(STAY * 1000)) and self.alive
        finally:
            self._seats.release()
