"""A registry on loopback that knows what some tags point to, and may ask for a token."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from local.loopback import Loopback

TOKEN = "let me in"


@contextmanager
def a_registry(
    tags: Mapping[str, str], *, asks: str = "", login: str = "", status: int = 200
) -> Iterator[str]:
    """Its address. ``asks``: ``basic`` or ``bearer``; ``login``: the only one that is let in, empty: anybody.
    ``status``: of what it has.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            shown = self.headers.get("Authorization", "")
            if asks == "bearer" and shown != f"Bearer {TOKEN}":
                realm = (
                    f'realm="http://{self.headers["Host"]}/token",service="r",scope="repository:shop:pull"'
                )
                self._answer(401, {"WWW-Authenticate": f"Bearer {realm}"})
            elif asks == "basic" and shown != f"Basic {login}":
                self._answer(401, {"WWW-Authenticate": 'Basic realm="r"'})
            elif self.path not in tags:
                self._answer(404, {})
            else:
                self._answer(status, {"Docker-Content-Digest": tags[self.path]})

        def do_GET(self) -> None:
            right = self.headers.get("Authorization", "") == (f"Basic {login}" if login else "")
            right &= self.path == "/token?service=r&scope=repository%3Ashop%3Apull"
            content = json.dumps({"token": TOKEN} if right else {}).encode()
            self._answer(200 if right else 401, {"Content-Type": "application/json"}, content)

        def _answer(self, status: int, headers: Mapping[str, str], content: bytes = b"") -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with Loopback(Handler) as running:
        yield f"127.0.0.1:{running.server.server_port}"
