"""Tokens of the service account that this process runs as, asked of Google Cloud's metadata server.

Only what a function's cold start can pay for: no library of Google's is imported for it.
Source: https://cloud.google.com/compute/docs/access/authenticate-workloads, https://cloud.google.com/run/docs/authenticating/service-to-service
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

from turnout.core.errors import TransientError

HOST_VARIABLE = "GCE_METADATA_HOST"
"""HOST or HOST:PORT of another server than Google's; its own libraries know the variable, too."""
HOST = "metadata.google.internal"
MARGIN = 225.0
"""Seconds before its end from which on a token is not given out any more. The server gives a new one in the last five
minutes; google-auth asks for one as late as this."""

_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default"
_TIMEOUT = 5.0
_LONGEST = 100_000


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    expires: float


class Metadata:
    """Thread-safe. Tokens are kept until shortly before they expire. ``now`` gives seconds since the epoch."""

    def __init__(self, host: str = HOST, *, now: Callable[[], float] = time.time) -> None:
        self._host = host
        self._now = now
        self._lock = threading.Lock()
        self._kept: dict[str, _Token] = {}

    def access_token(self) -> str:
        """For Google's own services, Cloud SQL among them. Raises: TransientError."""
        return self._token("access", self._ask_access)

    def identity_token(self, audience: str) -> str:
        """Says to a service of our own who calls; ``audience``: its address. Raises: TransientError."""
        return self._token(f"identity {audience}", lambda: self._ask_identity(audience))

    def _token(self, name: str, ask: Callable[[], _Token]) -> str:
        with self._lock:
            found = self._kept.get(name)
            if found is None or found.expires - MARGIN <= self._now():
                found = self._kept[name] = ask()
            return found.text

    def _ask_access(self) -> _Token:
        answer = self._ask("token")
        try:
            given = json.loads(answer)
            return _Token(str(given["access_token"]), self._now() + float(given["expires_in"]))
        except (ValueError, KeyError, TypeError) as error:
            raise TransientError(
                f"{self._host}: no access token in its answer", "it is asked again"
            ) from error

    def _ask_identity(self, audience: str) -> _Token:
        text = self._ask("identity", {"audience": audience, "format": "full"}).strip()
        try:
            claims = text.split(".")[1]
            told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            return _Token(text, float(told["exp"]))
        except (ValueError, LookupError, TypeError) as error:
            raise TransientError(
                f"{self._host}: no identity token in its answer", "it is asked again"
            ) from error

    def _ask(self, what: str, query: Mapping[str, str] | None = None) -> str:
        path = f"{_ACCOUNT}/{what}" + (f"?{urlencode(query)}" if query else "")
        connection = http.client.HTTPConnection(self._host, timeout=_TIMEOUT)
        try:
            connection.request("GET", path, headers={"Metadata-Flavor": "Google"})
            answer = connection.getresponse()
            status, text = answer.status, answer.read(_LONGEST).decode()
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
            raise TransientError(
                f"Google's metadata server {self._host} does not answer: {error}",
                f"run on Google Cloud as a service account, or set {HOST_VARIABLE}",
            ) from error
        finally:
            connection.close()
        if status != 200:
            raise TransientError(
                f"Google's metadata server {self._host} answered {status} for the account's {what}",
                "look whether the service has an account",
            )
        return text


@lru_cache(maxsize=1)
def metadata() -> Metadata:
    """The one of this process; nothing is asked before a token is."""
    return Metadata(os.environ.get(HOST_VARIABLE) or HOST)
