# ruff: noqa: S608 (the columns are ours)
"""Tokens, sessions and the audit log over the store's database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from turnout.adapters.store.database import Database
from turnout.adapters.store.instants import instant, instant_or_none, micros, micros_or_none
from turnout.adapters.store.link import Statement
from turnout.core.access import Scope
from turnout.core.ports.accounts import ApiToken, AuditEntry, BrowserSession, Verdict

_TOKEN = "id, name, owner, scopes, projects, made_at, expires_at, used_at"  # noqa: S105 (columns)
_ADD_TOKEN = Statement(
    f"INSERT INTO api_tokens (digest, {_TOKEN})"
    " VALUES (:digest, :id, :name, :owner, :scopes, :projects, :made_at, :expires_at, :used_at)"
)
_TOKEN_BY_DIGEST = Statement(f"SELECT {_TOKEN} FROM api_tokens WHERE digest = :digest")
_TOKEN_BY_ID = Statement(f"SELECT {_TOKEN} FROM api_tokens WHERE id = :id")
_TOKENS = Statement(f"SELECT {_TOKEN} FROM api_tokens ORDER BY made_at DESC, id DESC")
_TOKENS_OF = Statement(f"SELECT {_TOKEN} FROM api_tokens WHERE owner = :owner ORDER BY made_at DESC, id DESC")
_TOKEN_USED = Statement("UPDATE api_tokens SET used_at = :at WHERE id = :id")
_REMOVE_TOKEN = Statement("DELETE FROM api_tokens WHERE id = :id")

_SESSION = "id, person, via, address, agent, made_at, seen_at, expires_at"
_OPEN_SESSION = Statement(
    f"INSERT INTO browser_sessions (digest, {_SESSION})"
    " VALUES (:digest, :id, :person, :via, :address, :agent, :made_at, :seen_at, :expires_at)"
)
_SESSION_BY_DIGEST = Statement(f"SELECT {_SESSION} FROM browser_sessions WHERE digest = :digest")
_SESSIONS_OF = Statement(
    f"SELECT {_SESSION} FROM browser_sessions WHERE person = :person ORDER BY made_at DESC, id DESC"
)
_SESSION_SEEN = Statement("UPDATE browser_sessions SET seen_at = :at WHERE id = :id")
_CLOSE_SESSION = Statement("DELETE FROM browser_sessions WHERE id = :id AND person = :person")

_ONCE = Statement(
    "INSERT INTO used_once (name, until) VALUES (:name, :until)"
    " ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE used_once.until <= :now"
)

_ENTRY = "at, person, via, address, action, subject, project, verdict, reason"
_RECORD = Statement(
    f"INSERT INTO audit_log ({_ENTRY})"
    " VALUES (:at, :person, :via, :address, :action, :subject, :project, :verdict, :reason)"
)


def _log_where(*conditions: str) -> Statement:
    where = " AND ".join(("seq < :before", *conditions))
    return Statement(f"SELECT {_ENTRY}, seq FROM audit_log WHERE {where} ORDER BY seq DESC LIMIT :limit")


_LOGS = {
    (False, False): _log_where(),
    (True, False): _log_where("person = :person"),
    (False, True): _log_where("project = :project"),
    (True, True): _log_where("person = :person", "project = :project"),
}
_NEWEST = 2**62

_FORGET = (
    Statement("DELETE FROM api_tokens WHERE expires_at <= :now"),
    Statement("DELETE FROM browser_sessions WHERE expires_at <= :now OR seen_at <= :idle"),
    Statement("DELETE FROM used_once WHERE until <= :now"),
)


class SqlAccounts:
    """`turnout.core.ports.accounts.Accounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_token(self, token: ApiToken, digest: str) -> None:
        self._change(
            _ADD_TOKEN,
            digest=digest,
            id=token.id,
            name=token.name,
            owner=token.owner,
            scopes=" ".join(sorted(token.scopes)),
            projects=" ".join(token.projects),
            made_at=micros(token.made_at),
            expires_at=micros_or_none(token.expires_at),
            used_at=micros_or_none(token.used_at),
        )

    def token(self, digest: str) -> ApiToken | None:
        return next(iter(map(_token, self._rows(_TOKEN_BY_DIGEST, digest=digest))), None)

    def tokens(self, owner: str = "") -> Sequence[ApiToken]:
        found = self._rows(_TOKENS_OF, owner=owner) if owner else self._rows(_TOKENS)
        return [_token(each) for each in found]

    def find_token(self, id: str) -> ApiToken | None:
        return next(iter(map(_token, self._rows(_TOKEN_BY_ID, id=id))), None)

    def token_used(self, id: str, at: datetime) -> None:
        self._change(_TOKEN_USED, id=id, at=micros(at))

    def remove_token(self, id: str) -> bool:
        return self._change(_REMOVE_TOKEN, id=id) == 1

    def open_session(self, session: BrowserSession, digest: str) -> None:
        self._change(
            _OPEN_SESSION,
            digest=digest,
            id=session.id,
            person=session.person,
            via=session.via,
            address=session.address,
            agent=session.agent,
            made_at=micros(session.made_at),
            seen_at=micros(session.seen_at),
            expires_at=micros(session.expires_at),
        )

    def session(self, digest: str) -> BrowserSession | None:
        return next(iter(map(_session, self._rows(_SESSION_BY_DIGEST, digest=digest))), None)

    def sessions(self, person: str) -> Sequence[BrowserSession]:
        return [_session(each) for each in self._rows(_SESSIONS_OF, person=person)]

    def session_seen(self, id: str, at: datetime) -> None:
        self._change(_SESSION_SEEN, id=id, at=micros(at))

    def close_session(self, id: str, person: str) -> bool:
        return self._change(_CLOSE_SESSION, id=id, person=person) == 1

    def once(self, key: str, now: datetime, until: datetime) -> bool:
        return self._change(_ONCE, name=key, now=micros(now), until=micros(until)) == 1

    def record(self, entry: AuditEntry) -> None:
        self._change(
            _RECORD,
            at=micros(entry.at),
            person=entry.person,
            via=entry.via,
            address=entry.address,
            action=entry.action,
            subject=entry.subject,
            project=entry.project,
            verdict=entry.verdict,
            reason=entry.reason,
        )

    def audit_log(
        self, *, before: int = 0, limit: int = 50, person: str = "", project: str = ""
    ) -> Sequence[AuditEntry]:
        asked: dict[str, Any] = {"before": before or _NEWEST, "limit": limit}
        asked |= {"person": person} if person else {}
        asked |= {"project": project} if project else {}
        return [_entry(each) for each in self._rows(_LOGS[bool(person), bool(project)], **asked)]

    def forget(self, now: datetime, idle: datetime) -> int:
        asked = {"now": micros(now)}
        with self._database.change() as link:
            return sum(
                link.send(each, asked | ({"idle": micros(idle)} if number == 1 else {})).count
                for number, each in enumerate(_FORGET)
            )

    def _rows(self, statement: Statement, **values: Any) -> Sequence[tuple[Any, ...]]:
        with self._database.look() as link:
            return link.send(statement, values).rows

    def _change(self, statement: Statement, **values: Any) -> int:
        with self._database.change() as link:
            return link.send(statement, values).count


def _token(row: tuple[Any, ...]) -> ApiToken:
    id, name, owner, scopes, projects, made_at, expires_at, used_at = row
    return ApiToken(
        id,
        name,
        owner,
        frozenset(map(Scope, scopes.split())),
        tuple(projects.split()),
        instant(made_at),
        instant_or_none(expires_at),
        instant_or_none(used_at),
    )


def _session(row: tuple[Any, ...]) -> BrowserSession:
    id, person, via, address, agent, made_at, seen_at, expires_at = row
    return BrowserSession(
        id, person, via, address, agent, instant(made_at), instant(seen_at), instant(expires_at)
    )


def _entry(row: tuple[Any, ...]) -> AuditEntry:
    at, person, via, address, action, subject, project, verdict, reason, seq = row
    said: Verdict = verdict
    return AuditEntry(instant(at), person, via, address, action, subject, project, said, reason, seq)
