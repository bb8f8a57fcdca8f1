"""A door to a Docker Engine that opens for what the docker runtime asks, and for nothing else:
``python -m turnout.runtimes.docker_door``.

Whoever can speak to an engine is root on its machine. Whoever can speak to this door can start the agents' images,
without rights, in the jobs' network, and look after those containers. It alone is given the engine's socket.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

from turnout.core.errors import PermanentError
from turnout.core.images import read_images
from turnout.core.topics import AGENT_KINDS
from turnout.logging import configure_logging, get_logger
from turnout.runtimes.docker_rules import Asked, Refused, Rules

SOCKET = "/var/run/docker.sock"
PORT = 2375
WITHIN = 15 * 60.0  # seconds without a byte: an image that is pulled, a container that takes its time to stop
LONGEST_BODY = 256 * 1024
_PIECE = 1 << 16
_PASSED = ("Content-Type", "X-Registry-Auth")

log = get_logger()


def rules(environ: Mapping[str, str]) -> Rules:
    """Of the launcher's own settings. Raises: PermanentError."""
    network = environ.get("TURNOUT_DOCKER_NETWORK", "")
    given = environ.get("TURNOUT_AGENT_IMAGES", "")
    if not network or not given:
        raise PermanentError(
            "TURNOUT_DOCKER_NETWORK, TURNOUT_AGENT_IMAGES: both are needed", "set them as for the launcher"
        )
    try:
        images = read_images(given)
    except ValueError as error:
        raise PermanentError(f"TURNOUT_AGENT_IMAGES: {error}") from error
    more = [each.strip() for each in environ.get("TURNOUT_AGENTS", "").split(",") if each.strip()]
    kinds = {*AGENT_KINDS, *more, *images.named} if images.pattern else set(images.named)
    return Rules(frozenset(images.of(kind) for kind in kinds), network, environ.get("TURNOUT_NODE", ""))


class Door(ThreadingHTTPServer):
    """``path``: the engine's socket. ``address``: where it listens, host and port."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, rules: Rules, path: str = SOCKET, address: tuple[str, int] = ("", PORT)) -> None:
        self.rules = rules
        self.engine = path
        super().__init__(address, _Caller)

    def owner_of(self, container: str) -> str | None:
        """None: the engine knows none of this id."""
        with contextlib.closing(self.connect()) as engine:
            engine.request("GET", f"/containers/{quote(container)}/json")
            answer = engine.getresponse()
            said = answer.read()
        if answer.status != 200:
            return None
        return str(json.loads(said)["Config"]["Labels"].get("turnout.owner"))

    def connect(self) -> http.client.HTTPConnection:
        return _Engine(self.engine)


class _Engine(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=WITHIN)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Caller(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = WITHIN
    server: Door

    def do_GET(self) -> None:
        self._pass()

    def do_POST(self) -> None:
        self._pass()

    def do_DELETE(self) -> None:
        self._pass()

    def log_message(self, *_: object) -> None:
        """What is refused is logged; the rest is in the engine's own log."""

    def _pass(self) -> None:
        path, _, query = self.path.partition("?")
        try:
            body = self._body()
            body = self.server.rules.admit(Asked(self.command, path, query, body), self.server.owner_of)
            self._answer(query, path, body)
        except Refused as error:
            self.close_connection = True
            log.warning("refused", method=self.command, path=path, reason=str(error))
            self._say(403, f"refused by Turnout's door to the engine: {error}")
        except (OSError, http.client.HTTPException) as error:
            self.close_connection = True
            log.warning("the engine does not answer", reason=str(error))
            with contextlib.suppress(OSError):
                self._say(502, f"the Docker Engine does not answer: {error}")

    def _body(self) -> bytes:
        """Raises: Refused."""
        if self.headers.get("Transfer-Encoding"):
            raise Refused("a body says how long it is")
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            raise Refused(f"a body has at most {LONGEST_BODY} bytes")
        return self.rfile.read(int(length))

    def _answer(self, query: str, path: str, body: bytes) -> None:
        headers = {name: value for name in _PASSED if (value := self.headers.get(name))}
        with contextlib.closing(self.server.connect()) as engine:
            engine.request(self.command, f"{path}?{query}" if query else path, body, headers)
            answer = engine.getresponse()
            self.send_response(answer.status)
            for name in ("Content-Type", "Content-Length", "Api-Version", "Docker-Experimental"):
                if value := answer.getheader(name):
                    self.send_header(name, value)
            empty = answer.status in (204, 304)
            chunked = answer.getheader("Content-Length") is None and not empty
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while not empty and (piece := answer.read1(_PIECE)):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                self.wfile.write(b"0\r\n\r\n")

    def _say(self, status: int, message: str) -> None:
        content = json.dumps({"message": message}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    configure_logging("info")
    door = Door(rules(os.environ))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=door.shutdown).start())
    log.info("open", images=sorted(door.rules.images), network=door.rules.network, owner=door.rules.owner)
    with door:
        door.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except PermanentError as error:
        raise SystemExit(f"docker_door: {error}") from None
