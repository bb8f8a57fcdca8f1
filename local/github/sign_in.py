"""GitHub's web flow for signing in: who agrees is decided beforehand, and then asked no more.

Source: https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from local.github.hub import Answer


@dataclass
class SignIn:
    """One app. ``person``: who is at the browser, and agrees; empty: they refuse. ``given_back``: tokens that were,
    where it ``takes_back``."""

    client_id: str = "Iv1.standin"
    client_secret: str = "not-a-secret"  # noqa: S105 (a stand-in's)
    person: str = "ada"
    takes_back: bool = True
    given_back: list[str] = field(default_factory=list)
    _codes: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)

    def answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], raw: bytes
    ) -> Answer | None:
        """None: it is about something else."""
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if (method, path) == ("GET", "/login/oauth/authorize"):
            return self._agree(query)
        if (method, path) == ("POST", "/login/oauth/access_token"):
            return self._change(dict(parse_qsl(raw.decode())))
        if (method, path) == ("GET", "/user") and token in self._tokens:
            return Answer(200, {"login": self._tokens[token], "id": 1})
        if (method, path) == ("GET", "/user"):
            return Answer(401, {"message": "Bad credentials"})
        if (method, path) == ("DELETE", f"/applications/{self.client_id}/token"):
            return self._take_back(headers, json.loads(raw))
        return None

    def _agree(self, query: Mapping[str, str]) -> Answer:
        if query.get("client_id") != self.client_id:
            return Answer(404, {"message": "Not Found"})
        said = {"state": query.get("state", "")}
        if self.person:
            code = secrets.token_hex(10)
            self._codes[code] = (self.person, query.get("code_challenge", ""), query["redirect_uri"])
            said["code"] = code
        else:
            said["error"] = "access_denied"
        return Answer(302, None, {"Location": f"{query['redirect_uri']}?{urlencode(said)}"})

    def _change(self, form: Mapping[str, str]) -> Answer:
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            return Answer(200, {"error": "incorrect_client_credentials"})
        person, challenge, back = self._codes.pop(form.get("code", ""), ("", "", ""))
        hashed = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if not person or (challenge and hashed.decode().rstrip("=") != challenge):
            return Answer(200, {"error": "bad_verification_code"})
        if form.get("redirect_uri") != back:
            return Answer(200, {"error": "redirect_uri_mismatch"})
        token = f"gho_{secrets.token_hex(16)}"
        self._tokens[token] = person
        return Answer(200, {"access_token": token, "scope": "", "token_type": "bearer"})

    def _take_back(self, headers: Mapping[str, str], body: Mapping[str, str]) -> Answer:
        if not self.takes_back:
            return Answer(500, {"message": "told to fail"})
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        token = body.get("access_token", "")
        if headers.get("authorization") != f"Basic {basic}" or token not in self._tokens:
            return Answer(404, {"message": "Not Found"})
        del self._tokens[token]
        self.given_back.append(token)
        return Answer(204)
