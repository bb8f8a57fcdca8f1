"""The gateway over HTTP, as a launched job sees it: errors told apart by whether trying again can help."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import structlog

from agents.sdk.remote_answers import said
from agents.sdk.remote_pass import Pass
from agents.sdk.spool import PAUSES
from turnout.core.errors import PermanentError, TransientError

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
UPLOAD_TIMEOUT = httpx.Timeout(120.0, connect=5.0)
MOST_SAID = 128 << 20
"""Bytes of an answer: the largest report to compare with, as JSON."""
MOST_TOLD = 2000
"""Characters of what the gateway says of an error."""
LONGEST_PAUSE = 30.0
"""Seconds; whatever a gateway asks for."""
Answer = TypeVar("Answer")
_log = structlog.get_logger()


class NotWanted(PermanentError):
    """Another job has this attempt, or it has ended: there is nothing to do here, and that is no failure."""


class Gap(PermanentError):
    """The gateway has ``have`` bytes of the log, which is not where we are."""

    def __init__(self, have: int) -> None:
        super().__init__(f"the gateway has {have} bytes of the log")
        self.have = have


class GatewayClient:
    """Thread-safe. Its session tells this job from others of the same attempt; it is told to the gateway alone."""

    def __init__(self, given: Pass, transport: httpx.BaseTransport | None = None) -> None:
        self._base = f"{given.url}/attempts/{quote(given.attempt, safe='')}"
        self._client = httpx.Client(
            headers={
                "Authorization": f"Bearer {given.token}",
                "Turnout-Session": secrets.token_hex(16),
                "User-Agent": "turnout-job",
                "Accept-Encoding": "identity",
            },
            timeout=TIMEOUT,
            transport=transport,
            follow_redirects=False,
        )
        self._outside = httpx.Client(
            timeout=UPLOAD_TIMEOUT, transport=transport
        )  # no pass goes to other addresses
        self._closed = threading.Event()

    def get(self, path: str = "") -> dict[str, Any]:
        return self._ask("GET", path)

    def post(self, path: str, said: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._ask("POST", path, json=dict(said or {}))

    def put(self, path: str, content: bytes, media_type: str, sha256: str) -> dict[str, Any]:
        headers = {"Content-Type": media_type, "Turnout-Sha256": sha256}
        return self._ask("PUT", path, content=content, headers=headers, timeout=UPLOAD_TIMEOUT)

    def put_elsewhere(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        """To an address that the gateway has signed. Raises: TransientError, PermanentError."""
        if not url.startswith(("https://", "http://")):
            raise PermanentError("the gateway names an address that nothing can be put to")
        try:
            with self._outside.stream("PUT", url, content=content, headers=dict(headers)) as answer:
                pass  # its status says all
        except httpx.InvalidURL as error:
            raise PermanentError("the gateway names an address that nothing can be put to") from error
        except httpx.HTTPError as error:
            raise TransientError(f"the upload failed: {type(error).__name__}") from error
        if answer.status_code >= 500 or answer.status_code in (403, 408, 429):  # 403: the address has expired
            raise TransientError(
                f"the upload was answered with {answer.status_code}", retry_after=_after(answer)
            )
        if answer.status_code >= 300:
            raise PermanentError(f"the upload was answered with {answer.status_code}")

    def patiently(self, ask: Callable[[], Answer], patience: float) -> Answer:
        """Ask again while trying again can help, for so many seconds. Raises: TransientError, PermanentError."""
        until = time.monotonic() + patience
        tries = 0
        while True:
            try:
                return ask()
            except TransientError as error:
                pause = pause_after(error, tries)
                tries += 1
                if time.monotonic() + pause > until or self._closed.wait(pause):
                    raise
                _log.warning("waiting for the gateway", reason=str(error), again_in=round(pause, 2))

    def close(self) -> None:
        """Whoever waits gives up."""
        self._closed.set()
        self._client.close()
        self._outside.close()

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Raises: TransientError, NotWanted, Gap, PermanentError."""
        url = f"{self._base}/{path}" if path else self._base
        try:
            with self._client.stream(method, url, **more) as answer:
                found = _said(answer)
        except httpx.HTTPError as error:
            why = str(error).encode("ascii", "backslashreplace").decode()[:200]
            raise TransientError(f"the gateway does not answer: {type(error).__name__}: {why}") from error
        except httpx.InvalidURL as error:
            raise PermanentError("TURNOUT_GATEWAY_URL is no address", "see docs/gateway.md") from error
        except RuntimeError as error:  # the client has been closed
            raise PermanentError(f"nothing is asked any more: {error}") from error
        if answer.status_code == 200 and found is not None:
            return found
        told = _text(found, "error") or f"the gateway answered {answer.status_code}"
        match answer.status_code, (found or {}).get("kind"):
            case 410, "not_wanted":
                raise NotWanted(told)
            case 409, "gap":
                have = (found or {}).get("have")
                if not isinstance(have, int) or have < 0:
                    raise TransientError("the gateway does not say how much of the log it has")
                raise Gap(have)
            case ((401 | 403 | 409 | 413 | 422), str()):
                raise PermanentError(told, _text(found, "hint"))
            case _:  # also pages of proxies, and a gateway that is being replaced
                raise TransientError(told, retry_after=_after(answer))


def pause_after(error: TransientError, tries: int) -> float:
    return min(error.retry_after or PAUSES[min(tries, len(PAUSES) - 1)], LONGEST_PAUSE)


def _said(answer: httpx.Response) -> dict[str, Any] | None:
    """Raises: TransientError for more than any gateway says; httpx.HTTPError."""
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > MOST_SAID:
            raise TransientError(f"an answer of more than {MOST_SAID} bytes is not the gateway's")
    return said(bytes(body))


def _text(found: Mapping[str, Any] | None, name: str) -> str:
    text = (found or {}).get(name)
    return text[:MOST_TOLD] if isinstance(text, str) else ""


def _after(answer: httpx.Response) -> float | None:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "")))
    except ValueError:
        return None
