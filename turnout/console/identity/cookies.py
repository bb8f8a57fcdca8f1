"""The console's cookies: one names the session, one binds a sign-in under way to its browser.

Over https their names begin with ``__Host-``, so that no neighbouring host can set them.
Source: https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis, section 4.1.3
"""

from __future__ import annotations

import hashlib
import hmac

from starlette.requests import HTTPConnection
from starlette.responses import Response

SESSION = "turnout_session"
FLOW = "turnout_sign_in"
FLOW_LIVES = 600
"""Seconds that a person may take at GitHub."""


def https(connection: HTTPConnection) -> bool:
    """Whether the browser speaks https, also to a proxy before us: then TURNOUT_CONSOLE_URL says so."""
    if connection.url.scheme in ("https", "wss"):
        return True
    console: str = connection.app.state.wiring.settings.console_url
    scheme, _, rest = console.partition("://")
    return scheme == "https" and rest.partition("/")[0] == connection.headers.get("host", "")


def read(connection: HTTPConnection, name: str) -> str:
    return connection.cookies.get(_called(connection, name), "")


def put(connection: HTTPConnection, response: Response, name: str, value: str, lives: int) -> None:
    """``lives``: seconds."""
    response.set_cookie(
        _called(connection, name),
        value,
        max_age=lives,
        path="/",
        secure=https(connection),
        httponly=True,
        samesite="lax",
    )


def drop(connection: HTTPConnection, response: Response, name: str) -> None:
    response.delete_cookie(
        _called(connection, name), path="/", secure=https(connection), httponly=True, samesite="lax"
    )


def form_token(session: str) -> str:
    """What forms of this session carry, and no other page can know. ``session``: what its cookie holds."""
    return hmac.digest(session.encode("utf-8", "backslashreplace"), b"forms", hashlib.sha256).hex()


def _called(connection: HTTPConnection, name: str) -> str:
    return f"__Host-{name}" if https(connection) else name
