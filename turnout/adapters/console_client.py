"""A console somewhere else, asked over its REST API: requests, and problem documents as errors of ours."""

from __future__ import annotations

import json
import secrets
import weakref
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from turnout.acting import NotAllowed, NotNow
from turnout.core.errors import NotFound, PermanentError, TransientError, TurnoutError
from turnout.core.hosts import is_loopback

TIMEOUT = 60.0
"""Seconds; the ledger's account may ask GitHub first."""
TRIES = 3
"""How often something is asked for whose answer was lost; with the same key it is done once."""


def console_address(given: str) -> str:
    """The base of a console's URLs. Raises: PermanentError for what no token may be sent to."""
    parts = urlsplit(given.strip() if "://" in given else f"https://{given.strip()}")
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
        raise PermanentError(f"{given!r} is no console's address", "give it like https://turnout.example.org")
    if parts.scheme == "http" and not is_loopback(host):
        raise PermanentError(
            f"{given!r}: a token would travel in the clear", "use https (http is for this machine alone)"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


class ConsoleClient:
    """``address``: as `console_address` gives it. ``token`` empty: nobody signs in. Closes by itself in the end."""

    def __init__(self, address: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self.address = address
        headers = {"User-Agent": "turnout", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            base_url=f"{address}/api/v1/", headers=headers, timeout=TIMEOUT, transport=transport
        )
        weakref.finalize(self, self._http.close)

    def get(self, path: str, **asked: Any) -> Any:
        """What the JSON of the answer says. Parameters that are empty or None are left out. Raises: TurnoutError."""
        return _json(self.answer(path, **asked), self.address)

    def answer(self, path: str, **asked: Any) -> httpx.Response:
        wanted = {name: value for name, value in asked.items() if value not in ("", None)}
        return self._send("GET", path, params=wanted)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Asked for again where the answer was lost: its key makes it one. Raises: TurnoutError."""
        key = secrets.token_hex(16)
        sent = self._send("POST", path, json=dict(body), headers={"Idempotency-Key": key}, tries=TRIES)
        return _json(sent, self.address)

    def _send(self, method: str, path: str, *, tries: int = 1, **more: Any) -> httpx.Response:
        for left in reversed(range(tries)):
            try:
                found = self._http.request(method, path, **more)
                break
            except httpx.HTTPError as error:
                if not left:
                    raise TransientError(
                        f"{self.address} does not answer: {error}",
                        "is the console up, and the address right?",
                    ) from error
        if not found.is_success:
            raise _error(found, self.address)
        return found


def _json(answer: httpx.Response, address: str) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise PermanentError(
            f"{address} is no console: it does not answer with JSON", "look at the address"
        ) from error


def _error(answer: httpx.Response, address: str) -> TurnoutError:
    detail, hint = _told(answer)
    match answer.status_code:
        case 401:
            return PermanentError(f"{address}: {detail}", f"`turnout login {address}`")
        case 403:
            return NotAllowed(detail, hint)
        case 404:
            return NotFound(detail, hint)
        case 409:
            return NotNow(detail, hint)
        case status if status in (429, 502, 503, 504):
            return TransientError(f"{address}: {detail}", hint or "try again in a moment")
        case _:
            return PermanentError(f"{address}: {detail}", hint)


def _told(answer: httpx.Response) -> tuple[str, str]:
    """What a problem document says went wrong, and what to do next."""
    try:
        said = json.loads(answer.content)
        errors = [f"{each['where']}: {each['what']}" for each in said.get("errors", [])]
        return "; ".join([str(said["detail"]), *errors]), str(said.get("next", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"it answered {answer.status_code} {answer.reason_phrase}", "is it a console's address?"
