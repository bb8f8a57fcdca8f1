"""The pages of one's own tokens and sessions, and of who did what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from turnout.acting import Acting
from turnout.console.identity import viewer
from turnout.console.identity.api import Cursor, Id, OfPerson, OfProject, audit_log
from turnout.console.identity.telling import actor, identity, session_of
from turnout.console.pages.rendering import page
from turnout.core.access import Scope, Viewer
from turnout.core.errors import PermanentError

router = APIRouter(include_in_schema=False, prefix="/settings")
Who = Annotated[Viewer, Depends(viewer)]


async def _form(request: Request) -> Mapping[str, Sequence[str]]:
    """What `turnout.console.identity.guard` has let through is small."""
    return parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=100)


Filled = Annotated[Mapping[str, Sequence[str]], Depends(_form)]


@router.get("/tokens")
def tokens(request: Request, who: Who) -> HTMLResponse:
    return _page(request, who)


@router.post("/tokens")
def make_token(request: Request, who: Who, form: Filled) -> HTMLResponse:
    try:
        days = int(form.get("days", ["0"])[0])
        token, _ = _acting(request).make_token(
            actor(request, who),
            form.get("name", [""])[0],
            frozenset(map(Scope, form.get("scope", ()))),
            form.get("projects", [""])[0].replace(",", " ").split(),
            timedelta(days=days) if days else None,
        )
    except (ValueError, PermanentError) as error:
        said = error.message if isinstance(error, PermanentError) else "the form can't be read"
        return _page(request, who, status=422, refused=said)
    return _page(request, who, made=token)


@router.post("/tokens/{id}/remove")
def remove_token(request: Request, who: Who, id: Id) -> Response:
    _acting(request).remove_token(actor(request, who), id)
    return RedirectResponse("/settings/tokens", 303)


@router.post("/sessions/{id}/close")
def close_session(request: Request, who: Who, id: Id) -> Response:
    _acting(request).close_session(actor(request, who), id)
    return RedirectResponse("/settings/tokens", 303)


@router.get("/audit-log")
def log(
    request: Request, who: Who, person: OfPerson = "", project: OfProject = "", cursor: Cursor = ""
) -> HTMLResponse:
    """Who did what; for those whom the REST API tells it."""
    entries = audit_log(request, who, person, project, cursor)
    return page(
        request, "audit_log.html", who, rows=entries.items, next=entries.next, person=person, project=project
    )


def _page(
    request: Request, who: Viewer, *, status: int = 200, made: str = "", refused: str = ""
) -> HTMLResponse:
    accounts = identity(request).accounts
    here = session_of(request)
    answer = page(
        request,
        "tokens.html",
        who,
        status=status,
        made=made,
        refused=refused,
        scopes=tuple(Scope),
        tokens=accounts.tokens(who.person),
        sessions=accounts.sessions(who.person),
        here=here[0].id if here else "",
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _acting(request: Request) -> Acting:
    found: Acting = request.app.state.wiring.acting
    return found
