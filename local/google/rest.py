"""The HTTP side of Google's APIs, as their own clients speak it.

Which paths there are, and where a request's fields stand in them, comes from the tables of the installed clients; every
request is parsed into Google's own message, which refuses names that it does not have. So a field that is misspelt,
misplaced or of another type is 400 here, too. Source: AIP-127 (transcoding), AIP-193 (errors).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from google.protobuf import json_format

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_OURS = {"$alt", "alt", "$prettyPrint", "prettyPrint"}  # of every method
_VARIABLE = re.compile(r"\{([\w.]+)(?:=([^}]+))?\}")


class Refused(Exception):
    """``code``: HTTP's. ``status``: the canonical one, where the code alone does not say it."""

    def __init__(self, code: int, message: str, status: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or _STATUS[code]


@dataclass(frozen=True)
class Method:
    """``bindings``: as a client's ``_get_http_options()`` gives them. ``request``: the proto-plus class of the request.
    ``do``: takes the parsed request, gives a proto-plus or protobuf message."""

    name: str
    bindings: list[dict[str, str]]
    request: Any
    do: Callable[[Any], Any]


@dataclass
class Fault:
    """``times`` answers of a method are an error. ``after``: what was asked for is done before, and the answer lost."""

    method: str
    code: int
    times: int = 1
    after: bool = False
    message: str = "made up for a test"


@dataclass
class Seen:
    method: str
    request: Any = field(repr=False)


class RestStandIn:
    """Serves ``methods`` on a free port of loopback while it is entered. ``raw``: asked first, for what is no method;
    gives (status, headers, body) or None."""

    def __init__(
        self,
        methods: list[Method],
        raw: Callable[[str, str, Mapping[str, str], bytes], tuple[int, dict[str, str], bytes] | None]
        | None = None,
    ) -> None:
        self._routes = [
            (binding, _pattern(binding["uri"]), method) for method in methods for binding in method.bindings
        ]
        self._raw = raw
        self._lock = threading.RLock()
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.away = False
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: two would wait for each other's acknowledgement

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, answer = stand_in.answer(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> RestStandIn:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, method: str, code: int, *, times: int = 1, after: bool = False) -> None:
        self.faults.append(Fault(method, code, times, after))

    def requests(self, method: str) -> list[Any]:
        """Those that were understood, in their order."""
        return [each.request for each in self.seen if each.method == method]

    def answer(
        self, verb: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body."""
        try:
            if self.away:
                raise Refused(503, "the service is away")
            if self._raw and (found := self._raw(verb, target, headers, body)):
                return found
            with self._lock:
                said = self._dispatch(verb, target, body)
            return 200, {"Content-Type": "application/json"}, said
        except Refused as error:
            problem = {"error": {"code": error.code, "message": error.message, "status": error.status}}
            return error.code, {"Content-Type": "application/json"}, json.dumps(problem).encode()

    def _dispatch(self, verb: str, target: str, body: bytes) -> bytes:
        parts = urlsplit(target)
        for binding, pattern, method in self._routes:
            found = pattern.fullmatch(parts.path)
            if found is None or binding["method"].upper() != verb:
                continue
            names = _VARIABLE.findall(binding["uri"])
            fields = {name: unquote(value) for (name, _), value in zip(names, found.groups(), strict=True)}
            request = _parsed(method, binding.get("body", ""), fields, parse_qsl(parts.query), body)
            self.seen.append(Seen(method.name, request))
            fault = next((each for each in self.faults if each.method == method.name and each.times), None)
            if fault and not fault.after:
                fault.times -= 1
                raise Refused(fault.code, fault.message)
            answer = method.do(request)
            if fault:
                fault.times -= 1
                raise Refused(fault.code, fault.message)
            raw = type(answer).pb(answer) if hasattr(type(answer), "pb") else answer
            return bytes(json_format.MessageToJson(raw).encode())
        raise Refused(404, f"no method {verb} {parts.path}")


def _pattern(uri: str) -> re.Pattern[str]:
    """Of ``/v2/{name=projects/*/jobs/*}:run``: a variable without a pattern is one segment."""
    text, at = "", 0
    for found in _VARIABLE.finditer(uri):
        inner = re.escape(found[2] or "*").replace(r"\*", "[^/:]+")
        text += re.escape(uri[at : found.start()]) + f"({inner})"
        at = found.end()
    return re.compile(text + re.escape(uri[at:]))


def _parsed(
    method: Method, place: str, fields: dict[str, str], query: list[tuple[str, str]], body: bytes
) -> Any:
    """The request as Google's message. Raises: Refused."""
    request = method.request()
    raw = type(request).pb(request)
    try:
        if place == "*":
            json_format.Parse(body or b"{}", raw)
        elif place:
            json_format.ParseDict({place: json.loads(body or b"{}")}, raw)
        elif body:
            raise Refused(400, f"{method.name} takes no body")
        given: dict[str, Any] = {}
        for name, value in query:
            if name in _OURS:
                continue
            if value or name not in given:
                given[name] = value
        json_format.ParseDict({name: value for name, value in given.items() if value}, raw)
        for name, value in fields.items():
            json_format.ParseDict({name: value}, raw)
    except (json_format.ParseError, ValueError) as error:
        raise Refused(400, f"Invalid JSON payload received: {error}") from error
    return request
