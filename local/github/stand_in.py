"""GitHub's REST API on loopback, over a `Hub`, while the context is open."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from local.github.hub import Hub

HOST = "127.0.0.1"


class StandIn:
    """``port`` 0: any free one."""

    def __init__(self, hub: Hub | None = None, *, port: int = 0) -> None:
        self.hub = hub if hub is not None else Hub()
        self._server = _Server((HOST, port), self.hub)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], hub: Hub) -> None:
        super().__init__(address, _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def _serve(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        found = self.server.hub.answer(method, url.path, query, headers, raw)
        if found is None:
            self.close_connection = True
            return
        said = dict(found.headers)
        if page := said.pop("link-page", ""):
            host = f"http://{self.headers['Host']}{url.path}?{urlencode({**query, 'page': page})}"
            said["Link"] = f'<{host}>; rel="next"'
        if said.get("ETag") and headers.get("if-none-match") == said["ETag"]:
            self._say(304, b"", said)
        else:
            self._say(found.status, json.dumps(found.body).encode(), said)

    def _say(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests look at `Hub.calls`."""
