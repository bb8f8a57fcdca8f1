"""Accounts in one process, with nothing that outlives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from threading import Lock

from turnout.core.ports.accounts import ApiToken, AuditEntry, BrowserSession


class MemoryAccounts:
    def __init__(self) -> None:
        self._tokens: dict[str, tuple[str, ApiToken]] = {}
        self._sessions: dict[str, tuple[str, BrowserSession]] = {}
        self._keys: dict[str, datetime] = {}
        self._entries: list[AuditEntry] = []
        self._lock = Lock()

    def add_token(self, token: ApiToken, digest: str) -> None:
        with self._lock:
            self._tokens[token.id] = (digest, token)

    def token(self, digest: str) -> ApiToken | None:
        with self._lock:
            return next((token for known, token in self._tokens.values() if known == digest), None)

    def tokens(self, owner: str = "") -> Sequence[ApiToken]:
        with self._lock:
            found = [token for _, token in self._tokens.values() if owner in ("", token.owner)]
        return sorted(found, key=lambda each: (each.made_at, each.id), reverse=True)

    def find_token(self, id: str) -> ApiToken | None:
        with self._lock:
            return self._tokens[id][1] if id in self._tokens else None

    def token_used(self, id: str, at: datetime) -> None:
        with self._lock:
            if id in self._tokens:
                digest, token = self._tokens[id]
                self._tokens[id] = (digest, replace(token, used_at=at))

    def remove_token(self, id: str) -> bool:
        with self._lock:
            return self._tokens.pop(id, None) is not None

    def open_session(self, session: BrowserSession, digest: str) -> None:
        with self._lock:
            self._sessions[session.id] = (digest, session)

    def session(self, digest: str) -> BrowserSession | None:
        with self._lock:
            return next((each for known, each in self._sessions.values() if known == digest), None)

    def sessions(self, person: str) -> Sequence[BrowserSession]:
        with self._lock:
            found = [each for _, each in self._sessions.values() if each.person == person]
        return sorted(found, key=lambda each: (each.made_at, each.id), reverse=True)

    def session_seen(self, id: str, at: datetime) -> None:
        with self._lock:
            if id in self._sessions:
                digest, session = self._sessions[id]
                self._sessions[id] = (digest, replace(session, seen_at=at))

    def close_session(self, id: str, person: str) -> bool:
        with self._lock:
            if id not in self._sessions or self._sessions[id][1].person != person:
                return False
            del self._sessions[id]
            return True

    def once(self, key: str, now: datetime, until: datetime) -> bool:
        with self._lock:
            if key in self._keys and self._keys[key] > now:
                return False
            self._keys[key] = until
            return True

    def record(self, entry: AuditEntry) -> None:
        with self._lock:
            self._entries.append(replace(entry, number=len(self._entries) + 1))

    def audit_log(
        self, *, before: int = 0, limit: int = 50, person: str = "", project: str = ""
    ) -> Sequence[AuditEntry]:
        with self._lock:
            found = [
                each
                for each in reversed(self._entries)
                if (not before or each.number < before)
                and person in ("", each.person)
                and project in ("", each.project)
            ]
        return found[:limit]

    def forget(self, now: datetime, idle: datetime) -> int:
        with self._lock:
            tokens = [
                i for i, (_, each) in self._tokens.items() if each.expires_at and each.expires_at <= now
            ]
            sessions = [
                i for i, (_, each) in self._sessions.items() if each.expires_at <= now or each.seen_at <= idle
            ]
            keys = [key for key, until in self._keys.items() if until <= now]
            for id in tokens:
                del self._tokens[id]
            for id in sessions:
                del self._sessions[id]
            for key in keys:
                del self._keys[key]
            return len(tokens) + len(sessions) + len(keys)
