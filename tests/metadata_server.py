"""A stand-in for Google's metadata server, on a port of loopback: it gives the tokens that a test tells it to."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

PATH = "/computeMetadata/v1/instance/service-accounts/default/"


class MetadataServer:
    """``token``: the access token it gives; ``lasts``: seconds that tokens are valid. ``asked``: how often for one."""

    def __init__(self, token: str = "token", lasts: float = 3600) -> None:
        self.token = token
        self.lasts = lasts
        self.asked = 0
        here = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = here.answer(self.path, self.headers.get("Metadata-Flavor", ""))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.host = f"127.0.0.1:{self._server.server_port}"

    def answer(self, target: str, flavor: str) -> tuple[int, str]:
        asked = urlsplit(target)
        if flavor != "Google":
            return 403, "Missing Metadata-Flavor:Google header."
        if asked.path == f"{PATH}token":
            self.asked += 1
            return 200, json.dumps(
                {"access_token": self.token, "expires_in": self.lasts, "token_type": "Bearer"}
            )
        if asked.path == f"{PATH}identity":
            self.asked += 1
            return 200, identity(parse_qs(asked.query)["audience"][0], time.time() + self.lasts)
        return 404, "Not Found"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def identity(audience: str, expires: float) -> str:
    """A token as Google's, but signed by nobody."""
    parts = ({"alg": "RS256", "typ": "JWT"}, {"aud": audience, "exp": int(expires)}, {"signed": "by nobody"})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts
    )
