"""gunicorn's threaded worker, whose threads wait for no client longer than `turnout.adapters.slow_clients` allows."""

from __future__ import annotations

from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from turnout.adapters.slow_clients import SLOW_CLIENTS


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """The head of a request is watched here, its body where it is read (`turnout.serving.read_body`)."""

    def handle(self, conn: Any) -> Any:
        conn.reading = SLOW_CLIENTS.begin(conn.sock)
        try:
            return super().handle(conn)
        finally:
            SLOW_CLIENTS.end(conn.reading)

    def handle_request(self, req: Any, conn: Any) -> Any:
        SLOW_CLIENTS.end(conn.reading)
        return super().handle_request(req, conn)
