"""Signing in with GitHub: its web flow with PKCE, of which only the login is taken.

The person's token is asked for no scope, read with once, and given back at once; it is kept nowhere.
Source: https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps,
https://docs.github.com/en/rest/apps/oauth-applications
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from turnout.core.errors import PermanentError, TransientError
from turnout.logging import get_logger

if TYPE_CHECKING:
    import httpx

log = get_logger()

TIMEOUT = 10.0
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}(\[bot\])?")


@dataclass(frozen=True, slots=True)
class GitHubSignIn:
    """``api_url``: of GitHub Enterprise ``https://HOST/api/v3``; the pages are on the host itself."""

    client_id: str
    client_secret: str
    api_url: str = "https://api.github.com"

    def address(self, state: str, verifier: str, back: str) -> str:
        """Where the person agrees. ``back``: where GitHub sends them then, with ``state`` and a code."""
        hashed = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "client_id": self.client_id,
            "redirect_uri": back,
            "state": state,
            "scope": "",
            "code_challenge": base64.urlsafe_b64encode(hashed).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        return f"{self._pages()}/login/oauth/authorize?{urlencode(asked)}"

    def login(self, code: str, verifier: str, back: str) -> str:
        """Raises: PermanentError where GitHub does not take the code; TransientError where it does not answer."""
        import httpx

        try:
            with httpx.Client(timeout=TIMEOUT) as client:
                token = self._token(client, code, verifier, back)
                try:
                    answer = client.get(
                        f"{self.api_url.rstrip('/')}/user",
                        headers=_headers() | {"Authorization": f"Bearer {token}"},
                    )
                    login = str(_read(answer).get("login", ""))
                finally:
                    self._give_back(client, token)
        except httpx.HTTPError as error:
            raise TransientError(f"GitHub: no answer: {error}", "try again") from error
        if not _LOGIN.fullmatch(login):
            raise PermanentError("GitHub: its answer names nobody", "is TURNOUT_GITHUB_URL right?")
        return login

    def _token(self, client: httpx.Client, code: str, verifier: str, back: str) -> str:
        asked = {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "code": code,
            "redirect_uri": back,
            "code_verifier": verifier,
        }
        answer = client.post(f"{self._pages()}/login/oauth/access_token", data=asked, headers=_headers())
        found = _read(answer)
        if not found.get("access_token"):  # it says so with status 200
            code_ = str(found.get("error", "no token"))[:100]
            hint = (
                "set TURNOUT_GITHUB_CLIENT_ID and TURNOUT_GITHUB_CLIENT_SECRET to those of one app"
                if code_ == "incorrect_client_credentials"
                else "sign in again"
            )
            raise PermanentError(f"GitHub: {code_}", hint)
        return str(found["access_token"])

    def _give_back(self, client: httpx.Client, token: str) -> None:
        import httpx

        address = f"{self.api_url.rstrip('/')}/applications/{self.client_id}/token"
        secret = httpx.BasicAuth(self.client_id, self.client_secret)
        try:
            client.request(
                "DELETE", address, json={"access_token": token}, auth=secret, headers=_headers()
            ).raise_for_status()
        except httpx.HTTPError as error:
            log.warning("GitHub did not take back a sign-in's token", reason=str(error))

    def _pages(self) -> str:
        parts = urlsplit(self.api_url)
        if parts.netloc == "api.github.com":
            return "https://github.com"
        return f"{parts.scheme}://{parts.netloc}"


def _headers() -> dict[str, str]:
    return {"Accept": "application/json", "User-Agent": "turnout"}


def _read(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code >= 500 or answer.status_code == 429:
        raise TransientError(f"GitHub: HTTP {answer.status_code}", "try again")
    if answer.status_code >= 400:
        raise PermanentError(f"GitHub: HTTP {answer.status_code}", "sign in again")
    try:
        found = answer.json()
    except ValueError as error:
        raise TransientError("GitHub: its answer can't be read", "try again") from error
    return found if isinstance(found, dict) else {}
