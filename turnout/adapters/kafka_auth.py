"""Signing in to Google's managed Kafka: OAUTHBEARER with an access token of a service account.

The broker takes a token of three parts, each base64url without padding: a header that names the kind,
claims, and Google's access token where a JWT would carry its signature.
Source: https://github.com/googleapis/managedkafka (kafka-auth-local-server, the Python sample)
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Protocol

from kafka.net.sasl.oauth import AbstractTokenProvider

from turnout.core.errors import PermanentError, TransientError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
HEADER = {"typ": "JWT", "alg": "GOOG_OAUTH2_TOKEN"}


class Credentials(Protocol):
    """What is used of google-auth's. ``expiry`` is naive, in UTC."""

    token: str | None
    expiry: datetime | None

    @property
    def service_account_email(self) -> str | None:
        """``default`` on Compute Engine until the first refresh."""
        ...

    def refresh(self, request: object) -> None: ...


class GoogleTokenProvider(AbstractTokenProvider):  # type: ignore[misc] # kafka-python is not typed
    """Hands out a token that is always ready: kafka-python asks for it on its I/O thread, where nobody may wait.

    `prepare` gets the first one on the caller's thread; from then on a thread of this process renews it
    ``margin`` seconds before it expires, and tries again every ``pause`` seconds when that fails. ``request``
    is google-auth's transport. ``now`` gives seconds since the epoch.
    """

    def __init__(
        self,
        credentials: Credentials,
        request: object = None,
        *,
        margin: float = 300.0,
        pause: float = 5.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._credentials = credentials
        self._request = request
        self._margin = margin
        self._pause = pause
        self._now = now
        self._lock = threading.Lock()
        self._token = ""
        self._expires = 0.0
        self._process = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Get a token unless there is one, and keep it fresh in this process.

        Raises: TransientError when Google could not be asked; PermanentError for credentials of the wrong kind.
        """
        with self._lock:
            if not self._token or self._due() <= self._now():
                self._renew()
            if self._process != os.getpid():
                self._process = os.getpid()
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._keep_fresh, args=(self._stop,), name="kafka-token", daemon=True
                )
                self._thread.start()

    def token(self) -> str:
        """Raises: TransientError without a valid token, which fails this connection; another is tried later."""
        if not self._token or self._expires <= self._now():
            raise TransientError(
                "the access token for Kafka has expired and could not be renewed",
                "see the log for the reason",
            )
        return self._token

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None and self._process == os.getpid():
            self._thread.join(timeout=5)

    def _due(self) -> float:
        return self._expires - self._margin

    def _renew(self) -> None:
        try:
            self._credentials.refresh(self._request)
        except Exception as error:  # google-auth's transports raise errors of many families
            raise TransientError(
                f"Google gave no access token: {error}", "check the service account"
            ) from error
        expiry, email = self._credentials.expiry, self._credentials.service_account_email
        if not self._credentials.token or expiry is None:
            raise TransientError("Google gave no access token", "check the service account")
        if not email:
            raise PermanentError(
                "these Google credentials belong to no service account, as managed Kafka asks for",
                "run as a service account, or use SASL/PLAIN",
            )
        expires = expiry.replace(tzinfo=UTC).timestamp()
        self._token = encode_token(self._credentials.token, email, issued=self._now(), expires=expires)
        self._expires = expires

    def _keep_fresh(self, stop: threading.Event) -> None:
        wait = self._due() - self._now()
        while not stop.wait(max(wait, self._pause)):
            try:
                self._renew()
                wait = self._due() - self._now()
            except (TransientError, PermanentError):  # `token` says so once the old one has expired
                wait = self._pause


def encode_token(access_token: str, subject: str, *, issued: float, expires: float) -> str:
    """``issued`` and ``expires`` in seconds since the epoch; ``subject`` is the service account's address."""
    claims = {"exp": int(expires), "iat": int(issued), "iss": "Google", "sub": subject, "scope": "kafka"}
    parts = (json.dumps(HEADER), json.dumps(claims), access_token)
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)


def google_token_provider() -> GoogleTokenProvider:
    """For the credentials that this machine runs with.

    Raises: PermanentError without google-auth, or without credentials.
    """
    try:
        auth = import_module("google.auth")
        transport = import_module("google.auth.transport.requests")
    except ImportError as error:
        raise PermanentError(
            "signing in to Google's managed Kafka needs google-auth", "pip install 'google-auth[requests]'"
        ) from error
    try:
        credentials, _ = auth.default(scopes=[SCOPE])
    except auth.exceptions.DefaultCredentialsError as error:
        raise PermanentError(
            f"there are no Google credentials here: {error}", "run as a service account"
        ) from error
    return GoogleTokenProvider(credentials, transport.Request())
