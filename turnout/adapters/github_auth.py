"""Who we are to GitHub: a token, or an installed GitHub App.

Source: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from turnout.core.errors import NotFound, PermanentError
from turnout.core.ports import Clock

PASS_LIVES = timedelta(minutes=9)
"""GitHub takes ten at most; the rest is for clocks that differ."""
BACKDATED = timedelta(minutes=1)
RENEWED_BEFORE = timedelta(minutes=5)
"""A token of an installation lives an hour; one that ends sooner than this is not given out any more."""

Call = Callable[[str, str, str, Mapping[str, Any] | None], Mapping[str, Any]]
"""Method, path, credential and body: what GitHub answers. Raises: NotFound, PermanentError, TransientError."""


class Auth(Protocol):
    """``app``: whether we are an App, which alone may write checks."""

    @property
    def app(self) -> bool: ...

    def token(self, repository: str, call: Call) -> str:
        """What to say on behalf of ``repository`` (owner/name). Raises: PermanentError, TransientError."""
        ...

    def forget(self, repository: str) -> None:
        """GitHub has refused the token: it was revoked."""
        ...


@dataclass(frozen=True, slots=True)
class TokenAuth:
    secret: str
    app: bool = field(default=False, init=False)

    def token(self, repository: str, call: Call) -> str:  # noqa: ARG002 (one for all)
        return self.secret

    def forget(self, repository: str) -> None:
        """There is no other."""


@dataclass(frozen=True)
class AppAuth:
    """``id``: the App's id or client id. ``key``: its private key, PEM. Thread-safe."""

    id: str
    key: str
    clock: Clock
    app: bool = field(default=True, init=False)
    _installations: dict[str, int] = field(default_factory=dict, init=False)
    _tokens: dict[tuple[int, str], tuple[str, datetime]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def token(self, repository: str, call: Call) -> str:
        return self._token(repository, call, "")

    def reading(self, repository: str, call: Call) -> str:
        """A token that can read the files of this one repository and nothing else. Raises: as `token`."""
        return self._token(repository, call, repository)

    def _token(self, repository: str, call: Call, only: str) -> str:
        """``only``: the repository whose files may be read with it; empty: all that the App may."""
        with self._lock:
            installation = self._installations.get(repository) or self._installed(repository, call)
            known = self._tokens.get((installation, only))
            if known is None or known[1] - self.clock.now() < RENEWED_BEFORE:
                body = (
                    {"repositories": [only.partition("/")[2]], "permissions": {"contents": "read"}}
                    if only
                    else None
                )
                made = call("POST", f"/app/installations/{installation}/access_tokens", self.itself(), body)
                known = str(made["token"]), datetime.fromisoformat(str(made["expires_at"]))
                self._tokens[(installation, only)] = known
            return known[0]

    def forget(self, repository: str) -> None:
        """Also where it is installed: it may have been installed anew."""
        with self._lock:
            installation = self._installations.pop(repository, None)
            for each in [each for each in self._tokens if each[0] == installation]:
                del self._tokens[each]

    def _installed(self, repository: str, call: Call) -> int:
        try:
            found = call("GET", f"/repos/{repository}/installation", self.itself(), None)
        except NotFound as error:
            raise PermanentError(
                f"GitHub: the App {self.id} is not installed on {repository}", "install it there"
            ) from error
        self._installations[repository] = int(found["id"])
        return int(found["id"])

    def itself(self) -> str:
        """What the App itself is known by. Raises: PermanentError for a key that is none."""
        import jwt

        now = self.clock.now()
        claims = {"iat": now - BACKDATED, "exp": now + PASS_LIVES, "iss": self.id}
        try:
            return jwt.encode(claims, self.key, algorithm="RS256")
        except (ValueError, TypeError, jwt.exceptions.InvalidKeyError) as error:
            raise PermanentError(
                "GitHub: the App's private key is no RSA key in PEM",
                "set TURNOUT_GITHUB_APP_KEY to the file that GitHub gave out, or its content",
            ) from error


def read_key(given: str) -> str:
    """The private key, of which ``given`` is the PEM or the file. Raises: PermanentError."""
    if "-----BEGIN" in given:
        return given.replace("\\n", "\n")  # where a variable can hold no line ends
    try:
        return Path(given).expanduser().read_text()
    except (OSError, ValueError) as error:
        raise PermanentError(
            "TURNOUT_GITHUB_APP_KEY: neither a key in PEM nor a file that can be read",
            "set it to the file that GitHub gave out, or its content",
        ) from error
