"""What holds for every answer and every request of the console, whatever route they go to.

- It answers to its own names only, so that a page elsewhere can't reach one on this machine under a name of its own
  (DNS rebinding). Who sends a token is exempt: no such page has one.
- What comes with a session's cookie and may change something carries the session's form token.
- Browsers are told to run no script and load nothing but what the console serves, and to show it in no frame.
"""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnout.adapters.settings import Settings
from turnout.console import problems
from turnout.console.identity import cookies

MAX_FORM = 1 << 16
"""Bytes of a form."""
SAFE = ("GET", "HEAD", "OPTIONS")
FORM = "application/x-www-form-urlencoded"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HSTS = "max-age=31536000"


def install(app: FastAPI) -> None:
    """After everything else that wraps the routes: it is to stand before them."""
    app.add_middleware(Unforged)
    app.add_middleware(Guarded)


class Guarded:
    """The host's name, and the headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        secure, public = cookies.https(request), request.url.path.startswith("/badges/")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if public:  # pictures are made to be shown elsewhere
                    headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                if secure:
                    headers.setdefault("Strict-Transport-Security", HSTS)
                headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        if _ours(request):
            await self._app(scope, receive, sending)
            return
        answer = problems.response(
            request,
            421,
            "the console is not called like this",
            "name it in TURNOUT_CONSOLE_URL or TURNOUT_CONSOLE_HOSTS",
        )
        await answer(scope, receive, sending)


class Unforged:
    """Nothing is changed on behalf of somebody's browser that one of our own pages has not asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        session = cookies.read(request, cookies.SESSION)
        expected = cookies.form_token(session) if session else ""
        scope.setdefault("state", {})["csrf"] = expected
        if not session or request.method in SAFE or "authorization" in request.headers:
            await self._app(scope, receive, send)
            return
        try:
            given = request.headers.get("x-csrf-token", "")
            if not given and request.headers.get("content-type", "").partition(";")[0].strip() == FORM:
                body = await _read(request)
                given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=100).get("csrf", [""])[0]
                receive = _again(body, receive)
            if not _from_us(request) or not hmac.compare_digest(given.encode(), expected.encode()):
                raise HTTPException(403, "this did not come from a page of the console")
        except (HTTPException, ValueError) as error:
            status = error.status_code if isinstance(error, HTTPException) else 400
            said = str(error.detail) if isinstance(error, HTTPException) else "the form can't be read"
            await problems.response(request, status, said, "open the page again, and try again")(
                scope, receive, send
            )
            return
        await self._app(scope, receive, send)


def _ours(request: Request) -> bool:
    if "authorization" in request.headers or request.url.path == "/healthz":
        return True
    host = request.headers.get("host", "").lower()
    return host in _names(request.app.state.wiring.settings) or _without_port(host) in LOOPBACK


def _names(settings: Settings) -> frozenset[str]:
    given = [each.strip().lower() for each in settings.console_hosts.split(",") if each.strip()]
    return frozenset((*given, urlsplit(settings.console_url).netloc.lower())) - {""}


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host


def _from_us(request: Request) -> bool:
    """What browsers say of where a request comes from, where they say it."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    scheme = "https" if cookies.https(request) else "http"
    return origin is None or origin == f"{scheme}://{request.headers.get('host', '')}"


async def _read(request: Request) -> bytes:
    """Raises: HTTPException where it is larger than `MAX_FORM`."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM:
            raise HTTPException(413, "the form is too large")
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    told = False

    async def receiving() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving
