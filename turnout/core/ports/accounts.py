"""What is kept of people at the console: their tokens, their sessions, and who did what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from turnout.core.access import Scope

Verdict = Literal["allowed", "refused"]


@dataclass(frozen=True, slots=True)
class ApiToken:
    """``projects``: those that it is for, empty: all. ``expires_at``: None, never. ``used_at``: to about a minute."""

    id: str
    name: str
    owner: str
    scopes: frozenset[Scope]
    projects: tuple[str, ...]
    made_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """``via``: how they signed in (``local``, ``github``). ``address`` and ``agent``: of the browser, as it was then.
    It ends at ``expires_at``, or when it was not used for a while (``seen_at``, to about a minute)."""

    id: str
    person: str
    via: str
    address: str
    agent: str
    made_at: datetime
    seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """``subject``: what it was done on. ``reason``: why it was refused, or what they said. ``number``: its place, 0
    until it is recorded."""

    at: datetime
    person: str
    via: str
    address: str
    action: str
    subject: str
    project: str
    verdict: Verdict
    reason: str = ""
    number: int = 0


class Accounts(Protocol):
    """Secrets are known by their digest alone. Raises: TransientError when the database is away."""

    def add_token(self, token: ApiToken, digest: str) -> None: ...

    def token(self, digest: str) -> ApiToken | None: ...

    def tokens(self, owner: str = "") -> Sequence[ApiToken]:
        """Newest first; ``owner`` empty: everybody's."""
        ...

    def find_token(self, id: str) -> ApiToken | None: ...

    def token_used(self, id: str, at: datetime) -> None: ...

    def remove_token(self, id: str) -> bool:
        """False: there was none."""
        ...

    def open_session(self, session: BrowserSession, digest: str) -> None: ...

    def session(self, digest: str) -> BrowserSession | None: ...

    def sessions(self, person: str) -> Sequence[BrowserSession]:
        """Newest first."""
        ...

    def session_seen(self, id: str, at: datetime) -> None: ...

    def close_session(self, id: str, person: str) -> bool:
        """False: this person has none of this id."""
        ...

    def once(self, key: str, now: datetime, until: datetime) -> bool:
        """True for the first who comes with this key; kept until ``until``."""
        ...

    def record(self, entry: AuditEntry) -> None: ...

    def audit_log(
        self, *, before: int = 0, limit: int = 50, person: str = "", project: str = ""
    ) -> Sequence[AuditEntry]:
        """Newest first; ``before``: the number to go on after, 0: from the newest."""
        ...

    def forget(self, now: datetime, idle: datetime) -> int:
        """Remove what has ended: tokens, sessions (also those not seen since ``idle``), keys; how many. The audit log
        is never cut."""
        ...
