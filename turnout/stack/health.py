"""Whether the dispatcher works, told by HTTP to whoever runs it: a container's health check, a probe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from turnout.core.errors import PermanentError

LONGEST = 60.0
"""Seconds without asking the bus for records after which the polling thread is taken to hang: it asks every five."""


@contextmanager
def told_at(port: int, silent: Callable[[], float | None]) -> Iterator[int]:
    """Answer on every address of this machine while it is entered: 200, or 503 and why. ``/healthz``: it works;
    ``/livez``: starting it again would not help. Gives the port.

    ``silent``: as `turnout.dispatcher.Dispatcher.silent`. 0: nothing is answered. Raises: PermanentError (port taken).
    """
    if not port:
        yield 0
        return
    try:
        server = _Server(("", port), _handler(silent))
    except OSError as error:
        raise PermanentError(f"port {port} can't be listened on: {error}", "choose another PORT") from error
    threading.Thread(target=server.serve_forever, args=(0.5,), name="health", daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def judged(silent: float | None) -> tuple[int, str]:
    """Status and a line for people."""
    if silent is None:
        return 503, "waiting for the bus"
    if silent > LONGEST:
        return 503, f"has not asked for records for {silent:.0f} s"
    return 200, "ok"


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def _handler(silent: Callable[[], float | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds; nobody holds a thread of ours

        def do_GET(self) -> None:
            found = silent()
            match self.path:
                case "/livez" if found is None:  # the bus comes back without us
                    status, said = 200, judged(found)[1]
                case "/healthz" | "/livez":
                    status, said = judged(found)
                case _:
                    status, said = 404, "there are /healthz and /livez"
            body = f"{said}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent: it is asked every few seconds."""

    return Handler
