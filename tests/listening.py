"""A function on loopback, as the dispatcher sees one: it notes what it is sent, and answers what the test says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Request:
    """``headers`` have names in lower case. ``began`` and ``ended`` in seconds of the monotonic clock."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    began: float
    ended: float = 0.0

    @property
    def key(self) -> str:
        return self.headers.get("ce-partitionkey", self.headers.get("ce-key", ""))


@dataclass(frozen=True)
class Say:
    """The answer. ``close``: the connection ends after it; ``cut``: it ends instead of it."""

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False
    cut: bool = False


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or a connection that the test has cut."""


class Function:
    """``answer`` is called for each request, on the request's own thread."""

    def __init__(self, answer: Callable[[Request], Say] = lambda _: Say(), port: int = 0) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._connections = 0
        self._sockets: set[Any] = set()
        self._server = _Server(("127.0.0.1", port), self._handler())
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Function:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening and cut the connections, as a process that ends does. Twice is fine."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        with self._lock:
            for each in self._sockets:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the other side was faster
            self._sockets.clear()

    def bodies(self) -> list[bytes]:
        with self._lock:
            return [each.body for each in self.requests]

    def by_key(self) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        with self._lock:
            for each in self.requests:
                found.setdefault(each.key, []).append(each.body)
        return found

    def _handler(function) -> type[BaseHTTPRequestHandler]:  # noqa: N805, RUF100 — self is the handler's below
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def setup(self) -> None:
                super().setup()
                with function._lock:
                    function._connections += 1
                    self.number = function._connections
                    function._sockets.add(self.connection)

            def finish(self) -> None:
                with function._lock:
                    function._sockets.discard(self.connection)
                try:
                    super().finish()
                except (OSError, ValueError):
                    pass  # the test has cut the connection

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                if len(body) < length:  # the client was killed in mid-request: no server handles half of one
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                began = time.monotonic()
                request = Request(self.path, headers, body, self.number, began)
                said = function.answer(request)
                with function._lock:
                    function.requests.append(
                        Request(self.path, headers, body, self.number, began, time.monotonic())
                    )
                self.close_connection = said.close or said.cut
                if said.cut:
                    return
                try:
                    self.send_response(said.status)
                    for name, value in said.headers.items():
                        self.send_header(name, value)
                    if said.close:
                        self.send_header("connection", "close")
                    if said.status != 204:
                        self.send_header("content-length", str(len(said.body)))
                    self.end_headers()
                    self.wfile.write(said.body)
                    self.wfile.flush()
                except (OSError, ValueError):
                    self.close_connection = True  # the other side is gone

            def log_message(self, format: str, *args: Any) -> None:
                """The tests look at `requests`."""

        return Handler
