"""Repositories over HTTP, as a git server gives them: git's own http-backend behind a small server, and Git LFS."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local.github.git_backend import Request, http_backend

MEDIA = "application/vnd.git-lfs+json"


@dataclass
class Served:
    """What a server has and heard. ``folder``: the repositories. ``guarded``: a repository's name → the
    ``Authorization`` that it wants. ``objects``: those in Git LFS, of all repositories. ``old``: nothing newer than
    protocol 0 is spoken. ``moved``: a repository's name → where it is said to be.

    ``seen``: (method, path, ``Authorization``) of each request. ``while_asked`` is called within each.
    """

    folder: Path
    guarded: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    old: bool = False
    while_asked: Callable[[], None] = lambda: None
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""

    def credentials(self, beginning: str) -> set[str]:
        """What was given to log in with, where the path begins so; "" stands for nothing."""
        return {given for _, path, given in self.seen if path.startswith(beginning)}


@contextmanager
def serving(folder: Path, address: str = "127.0.0.1") -> Iterator[str]:
    """``http://address:port``: below it, the repositories in ``folder``."""
    with hosting(Served(folder), address) as url:
        yield url


@contextmanager
def hosting(served: Served, address: str = "127.0.0.1") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def _answer(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            given = self.headers.get("Authorization", "")
            served.seen.append((self.command, path, given))
            served.while_asked()
            repository = path.partition(".git")[0].strip("/")
            if repository in served.moved:
                self._say(301, b"", Location=served.moved[repository] + self.path)
            elif given != served.guarded.get(repository, given):
                self._say(401, b"", **{"WWW-Authenticate": 'Basic realm="git"'})
            elif path.endswith("/info/lfs/objects/batch"):
                self._say(200, json.dumps(self._batch(json.loads(body))).encode(), **{"Content-Type": MEDIA})
            elif "/lfs-objects/" in path:
                self._say(200, served.objects[path.rpartition("/")[2]])
            else:
                self._git(path, query, body)

        def _batch(self, asked: dict[str, Any]) -> dict[str, Any]:
            def answer(oid: str, size: int) -> dict[str, Any]:
                if oid not in served.objects:
                    return {"oid": oid, "size": size, "error": {"code": 404, "message": "no such object"}}
                href = f"{served.url}/lfs-objects/{oid}"
                return {
                    "oid": oid,
                    "size": size,
                    "authenticated": True,
                    "actions": {"download": {"href": href}},
                }

            return {"transfer": "basic", "objects": [answer(**each) for each in asked["objects"]]}

        def _git(self, path: str, query: str, body: bytes) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            if served.old:
                headers.pop("git-protocol", None)
            asked = Request(self.command, path, query, headers, body, self.client_address[0])
            status, said, content = http_backend(served.folder, asked, {})
            self._say(status, content, **said)

        def _say(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer((address, 0), Handler)
    served.url = f"http://{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
