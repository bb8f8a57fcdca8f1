"""GitHub on loopback, over a `Hub`, while the context is open: its REST API, and its repositories over HTTP.

A push to ``{url}/owner/name.git`` makes the webhooks of the hub deliver it.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from local.github.git_backend import Request
from local.github.hub import Hub
from local.github.sign_in import SignIn
from local.loopback import Loopback


class StandIn(Loopback):
    """``port`` 0: any free one."""

    def __init__(self, hub: Hub | None = None, *, port: int = 0, sign_in: SignIn | None = None) -> None:
        self.hub = hub if hub is not None else Hub()
        self.sign_in = sign_in if sign_in is not None else SignIn()
        super().__init__(type("Handler", (_Handler,), {"hub": self.hub, "sign_in": self.sign_in}), port=port)
        if self.hub.git is not None:
            self.hub.git.pushed = lambda moved: self.hub.deliver(moved, self.clone_url)

    @property
    def clone_url(self) -> str:
        return f"{self.url}/{self.hub.repository}.git"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    hub: Hub
    sign_in: SignIn

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        raw = self._body()
        url = urlsplit(self.path)
        if self.hub.git is not None and ".git/" in url.path:
            self._serve_git(method, url.path, url.query, raw)
            return
        query = dict(parse_qsl(url.query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        found = self.sign_in.answer(method, url.path, query, headers, raw)
        if found is None:
            found = self.hub.answer(method, url.path, query, headers, raw)
        if found is None:
            self.close_connection = True
            return
        said = dict(found.headers)
        for name in ("page", "cursor"):
            if following := said.pop(f"link-{name}", ""):
                host = f"http://{self.headers['Host']}{url.path}?{urlencode({**query, name: following})}"
                said["Link"] = f'<{host}>; rel="next"'
        if said.get("ETag") and headers.get("if-none-match") == said["ETag"]:
            self._say(304, b"", said)
        else:
            content = b"" if found.body is None else json.dumps(found.body).encode()
            self._say(found.status, content, said)

    def _body(self) -> bytes:
        """git sends what is larger than a megabyte in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(found)

    def _serve_git(self, method: str, path: str, query: str, raw: bytes) -> None:
        assert self.hub.git is not None
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Request(method, path, query, headers, raw, self.client_address[0])
        status, said, content = self.hub.git.serve(asked)
        self.send_response(status)
        for name, value in said.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _say(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests look at `Hub.calls`."""
