"""Service accounts: the metadata server that each machine has, and Google's word on whose a token is.

Each account's metadata server is a port of its own, since a machine runs as one account. What it gives is good until it
expires or is revoked; `Accounts.url` is asked about access tokens as oauth2.googleapis.com is.

Source: https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys; oauth2.googleapis.com/tokeninfo
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from local.loopback import Loopback

ACCOUNTS = "/computeMetadata/v1/instance/service-accounts/"
EARLY = 300.0
"""Seconds before its end from which on the metadata server gives another token."""
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True)
class Token:
    """``audience``: of an identity token; empty: an access token."""

    text: str
    email: str
    expires: float
    audience: str = ""


class Accounts:
    """``lasts``: seconds that a token is good for; a metadata server gives the same one until ``early`` seconds before
    that is over. ``given``: told of each access token that is made, before anybody has it. Thread-safe."""

    def __init__(
        self,
        *,
        project: str = "acme-turnout",
        lasts: float = 3600.0,
        early: float = EARLY,
        given: Callable[[Token], None] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.lasts, self.early, self.given, self._now = lasts, early, given, now
        self.project = project
        self.asked: list[str] = []
        """The account of each access token that was asked for."""
        self._known: dict[str, Token] = {}
        self._newest: dict[tuple[str, str], Token] = {}
        self._servers: dict[str, Loopback] = {}
        self._lock = threading.Lock()
        self._open = ExitStack()
        self._tokeninfo = Loopback(_handler(self._tell))

    def __enter__(self) -> Self:
        self._open.enter_context(self._tokeninfo)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def tokeninfo(self) -> str:
        return f"{self._tokeninfo.url}/tokeninfo"

    def metadata(self, email: str) -> str:
        """HOST:PORT of the metadata server of a machine that runs as the account; the same each time."""
        with self._lock:
            if email not in self._servers:
                server = Loopback(_handler(lambda target, headers: self._answer(email, target, headers)))
                self._servers[email] = self._open.enter_context(server)
            return self._servers[email].url.removeprefix("http://")

    def token(self, email: str, audience: str = "") -> Token:
        """One that is good for a while yet."""
        with self._lock:
            kept = self._newest.get((email, audience))
            if kept is not None and kept.expires - self.early > self._now():
                return kept
            expires = self._now() + self.lasts
            text = _identity(email, audience, expires) if audience else f"ya29.{secrets.token_urlsafe(40)}"
            made = Token(text, email, expires, audience)
            self._known[text] = self._newest[(email, audience)] = made
            if not audience:
                self.given(made)
            return made

    def revoke(self, email: str) -> None:
        """No token of the account is good any more."""
        with self._lock:
            for each in [each for each in self._known.values() if each.email == email]:
                del self._known[each.text]
                self._newest.pop((email, each.audience), None)

    def owner(self, text: str, audience: str = "") -> str:
        """Whose token it is; empty: nobody's."""
        found = self._known.get(text)
        good = found is not None and found.audience == audience and found.expires > self._now()
        return found.email if found is not None and good else ""

    def _tell(self, target: str, _headers: Any) -> tuple[int, str]:
        given = parse_qs(urlsplit(target).query).get("access_token", [""])[0]
        email = self.owner(given)
        if not email:
            return 400, json.dumps({"error": "invalid_token", "error_description": "Invalid Value"})
        left = int(self._known[given].expires - self._now())
        said = {"email": email, "email_verified": "true", "expires_in": str(left), "scope": SCOPE}
        return 200, json.dumps(said)

    def _answer(self, email: str, target: str, headers: Any) -> tuple[int, str]:
        asked = urlsplit(target)
        if asked.path == "/":
            return 200, "computeMetadata/\n"  # Google's libraries look whether anybody is there
        if headers.get("Metadata-Flavor") != "Google":
            return 403, "Missing Metadata-Flavor:Google header."
        name, _, what = asked.path.removeprefix(ACCOUNTS).partition("/")
        if name not in ("default", email):
            what = asked.path
        match what:
            case "token":
                self.asked.append(email)
                found = self.token(email)
                left = int(found.expires - self._now())
                return 200, json.dumps(
                    {"access_token": found.text, "expires_in": left, "token_type": "Bearer"}
                )
            case "identity":
                return 200, self.token(email, parse_qs(asked.query)["audience"][0]).text
            case "":
                return 200, json.dumps({"email": email, "aliases": ["default"], "scopes": [SCOPE]})
            case "email":
                return 200, email
            case "/computeMetadata/v1/project/project-id":
                return 200, self.project
            case _:
                return 404, "Not Found"


def _identity(email: str, audience: str, expires: float) -> str:
    """As Google's, but signed by nobody: whose it is, is looked up."""
    claims = {"aud": audience, "email": email, "exp": int(expires), "jti": secrets.token_hex(8)}
    parts = (json.dumps({"alg": "RS256", "typ": "JWT"}), json.dumps(claims), "nobody")
    return ".".join(base64.urlsafe_b64encode(each.encode()).rstrip(b"=").decode() for each in parts)


def _handler(answer: Callable[[str, Any], tuple[int, str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1

        def do_GET(self) -> None:
            status, text = answer(self.path, self.headers)
            self.send_response(status)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", "application/json" if text.startswith("{") else "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    return Handler
