"""Repositories in a folder, to be read over HTTP: ``python -m local.compose.git_server FOLDER PORT``."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from local.github.git_backend import Request, http_backend


class _Handler(BaseHTTPRequestHandler):
    folder: Path

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Request(self.command, path, query, headers, body, self.client_address[0])
        status, said, content = http_backend(self.folder, asked, {"http.receivepack": "false"})
        self.send_response(status)
        for name, value in said.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    _Handler.folder = Path(sys.argv[1])
    ThreadingHTTPServer(("", int(sys.argv[2])), _Handler).serve_forever()


if __name__ == "__main__":
    main()
