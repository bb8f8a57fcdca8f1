"""Who one is, one's tokens and sessions, and the audit log, for programs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from turnout.acting import Acting
from turnout.console.identity import allowed, viewer
from turnout.console.identity.telling import actor, identity
from turnout.core.access import EVERYWHERE, Role, Scope, Viewer
from turnout.core.errors import PermanentError
from turnout.core.ports.accounts import ApiToken, AuditEntry, BrowserSession

router = APIRouter(prefix="/api/v1", tags=["access"])
Who = Annotated[Viewer, Depends(viewer)]
PROJECT = r"^[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}$"
Id = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]


class Me(BaseModel):
    """Who asks. ``admin``: of the whole server. ``scopes``: of the token that they show; empty: they are signed in."""

    name: str
    via: str
    admin: bool
    scopes: list[Scope]
    projects: list[str] = Field(description="Those that the token is for; empty: all.")


class NewToken(BaseModel):
    name: str = Field(min_length=1, max_length=100, description="What it is for.")
    scopes: list[Scope] = Field(
        min_length=1, description="What it is for; it never gives more than you have."
    )
    projects: list[Annotated[str, Field(pattern=PROJECT)]] = Field(
        default=[], max_length=200, description="`owner/name` each; empty: all."
    )
    days: int | None = Field(default=90, ge=1, le=366, description="How long it lives; null: until removed.")


class Token(BaseModel):
    id: str
    name: str
    owner: str
    scopes: list[Scope]
    projects: list[str]
    made_at: datetime
    expires_at: datetime | None
    used_at: datetime | None = Field(description="To about a minute.")


class MadeToken(Token):
    token: str = Field(description="The token itself. It is shown this once.")


class Tokens(BaseModel):
    items: list[Token]


class Session(BaseModel):
    id: str
    via: str
    address: str
    agent: str
    made_at: datetime
    seen_at: datetime
    expires_at: datetime


class Sessions(BaseModel):
    items: list[Session]


class Entry(BaseModel):
    """Somebody did something, or was refused it."""

    number: int
    at: datetime
    person: str
    via: str
    address: str
    action: str
    subject: str
    project: str
    verdict: Literal["allowed", "refused"]
    reason: str


class Entries(BaseModel):
    items: list[Entry]
    next: str = Field(description="The cursor of the next page; empty: there is none.")


@router.get("/me")
def me(who: Who) -> Me:
    return Me(
        name=who.name,
        via=who.via,
        admin=who.may(Role.ADMIN),
        scopes=sorted(who.scopes or ()),
        projects=sorted(who.projects),
    )


@router.get("/tokens")
def tokens(
    request: Request, who: Who, all: Annotated[bool, Query(description="Everybody's, for admins.")] = False
) -> Tokens:
    """Your tokens, newest first."""
    if all:
        allowed(who, Role.ADMIN, EVERYWHERE)
    found = identity(request).accounts.tokens("" if all else who.person)
    return Tokens(items=[_token(each) for each in found])


@router.post("/tokens", status_code=201)
def make_token(request: Request, who: Who, wanted: NewToken, response: Response) -> MadeToken:
    """With a token, only where it has the scope `admin`."""
    lives = timedelta(days=wanted.days) if wanted.days else None
    token, kept = _acting(request).make_token(
        actor(request, who), wanted.name, wanted.scopes, wanted.projects, lives
    )
    response.headers["Cache-Control"] = "no-store"
    return MadeToken(**_token(kept).model_dump(), token=token)


@router.delete("/tokens/{id}", status_code=204)
def remove_token(request: Request, who: Who, id: Id) -> None:
    """Yours, and for admins anybody's. It opens nothing from now on."""
    _acting(request).remove_token(actor(request, who), id)


@router.get("/sessions")
def sessions(request: Request, who: Who) -> Sessions:
    """The browsers that you are signed in with."""
    return Sessions(items=[_session(each) for each in identity(request).accounts.sessions(who.person)])


@router.delete("/sessions/{id}", status_code=204)
def close_session(request: Request, who: Who, id: Id) -> None:
    _acting(request).close_session(actor(request, who), id)


OfPerson = Annotated[str, Query(pattern=r"^[A-Za-z0-9:._\[\]-]{0,200}$", description="Only theirs.")]
OfProject = Annotated[str, Query(pattern=f"{PROJECT}|^$", description="Only of this project.")]
Cursor = Annotated[str, Query(description="`next` of the page before.")]


@router.get("/audit-log")
def audit_log(
    request: Request,
    who: Who,
    person: OfPerson = "",
    project: OfProject = "",
    cursor: Cursor = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Entries:
    """Who did what, newest first: of a project, for its admins; of everything, for those of the server."""
    allowed(who, Role.ADMIN, project or EVERYWHERE)
    if cursor and not (cursor.isascii() and cursor.isdigit() and 0 < int(cursor[:20]) < 2**62):
        raise PermanentError("no such cursor", "take `next` of the page before, as it is")
    before = int(cursor) if cursor else 0
    found = identity(request).accounts.audit_log(
        before=before, limit=limit + 1, person=person, project=project
    )
    more = len(found) > limit
    return Entries(
        items=[_entry(each) for each in found[:limit]], next=str(found[limit - 1].number) if more else ""
    )


def _token(token: ApiToken) -> Token:
    return Token(
        id=token.id,
        name=token.name,
        owner=token.owner,
        scopes=sorted(token.scopes),
        projects=list(token.projects),
        made_at=token.made_at,
        expires_at=token.expires_at,
        used_at=token.used_at,
    )


def _session(session: BrowserSession) -> Session:
    return Session(
        id=session.id,
        via=session.via,
        address=session.address,
        agent=session.agent,
        made_at=session.made_at,
        seen_at=session.seen_at,
        expires_at=session.expires_at,
    )


def _entry(entry: AuditEntry) -> Entry:
    return Entry(
        number=entry.number,
        at=entry.at,
        person=entry.person,
        via=entry.via,
        address=entry.address,
        action=entry.action,
        subject=entry.subject,
        project=entry.project,
        verdict=entry.verdict,
        reason=entry.reason,
    )


def _acting(request: Request) -> Acting:
    found: Acting = request.app.state.wiring.acting
    return found
