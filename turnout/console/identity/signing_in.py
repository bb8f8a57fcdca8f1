"""Signing in, by a link that is good once or with GitHub, and out."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from turnout.acting import Acting, Actor
from turnout.adapters.github_sign_in import GitHubSignIn
from turnout.console.identity import cookies
from turnout.console.identity.telling import address, identity, listened_to, session_of, tries
from turnout.console.pages.rendering import page
from turnout.core.errors import NotFound, PermanentError
from turnout.identifying import SESSION_LIVES

router = APIRouter(include_in_schema=False)
HOME = "/"
CALLBACK = "/sign-in/github/callback"


def inside(given: str) -> str:
    """``given`` where it is a path of the console; its home otherwise, so that nobody is sent elsewhere."""
    outside = given[:1] != "/" or given[:2] in ("//", "/\\")
    return HOME if outside or "\\" in given or not given.isprintable() or len(given) > 2000 else given


@router.get("/sign-in")
def sign_in(request: Request, next: str = HOME) -> Response:
    if session_of(request):
        return RedirectResponse(inside(next), 303)
    return _page(request, next=inside(next))


@router.get("/sign-in/link")
def by_link(request: Request, token: str, next: str = HOME) -> Response:
    """``token``: what `turnout console-link` has printed."""
    listened_to(request)
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return _refused(request, "local", "a link to sign in is opened by hand, not from another site")
    person = identity(request).redeem(token)
    if person is None:
        return _refused(request, "local", "this link was used before, or is too old")
    return _welcome(request, person, "local", inside(next))


@router.get("/sign-in/github")
def to_github(request: Request, next: str = HOME) -> Response:
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    answer = RedirectResponse(_github(request).address(state, verifier, _back(request)), 303)
    flow = f"{state}.{verifier}.{quote(inside(next), safe='')}"
    cookies.put(request, answer, cookies.FLOW, flow, cookies.FLOW_LIVES)
    return answer


@router.get(CALLBACK)
def from_github(request: Request, code: str = "", state: str = "") -> Response:
    listened_to(request)
    expected, _, rest = cookies.read(request, cookies.FLOW).partition(".")
    verifier, _, next = rest.partition(".")
    if not expected or not hmac.compare_digest(state.encode(), expected.encode()):
        return _refused(request, "github", "this sign-in was not begun in this browser, or too long ago")
    if not code:
        return _refused(request, "github", "GitHub was not allowed to say who you are")
    try:
        login = _github(request).login(code, verifier, _back(request))
    except PermanentError as error:
        return _refused(request, "github", str(error))
    return _welcome(request, login, "github", inside(unquote(next)))


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    found = session_of(request)
    if found:
        session, who = found
        _acting(request).close_session(Actor(who, address(request)), session.id)
    answer = RedirectResponse("/sign-in", 303)
    cookies.drop(request, answer, cookies.SESSION)
    return answer


def _welcome(request: Request, person: str, via: str, next: str) -> Response:
    """A session of its own for every sign-in: one that was there before is not taken over."""
    agent = request.headers.get("user-agent", "")
    cookie = identity(request).open_session(person, via, address(request), agent)
    who = identity(request).of_login(person, via)
    _acting(request).signed_in(Actor(who, address(request)))
    answer = RedirectResponse(next, 303)
    cookies.put(request, answer, cookies.SESSION, cookie, int(SESSION_LIVES.total_seconds()))
    cookies.drop(request, answer, cookies.FLOW)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _refused(request: Request, via: str, reason: str) -> Response:
    tries(request).failed(address(request))
    _acting(request).not_signed_in(address(request), via, reason)
    return _page(request, 403, refused=reason)


def _page(request: Request, status: int = 200, *, next: str = HOME, refused: str = "") -> HTMLResponse:
    github = request.app.state.wiring.github_sign_in is not None
    return page(
        request,
        "sign_in.html",
        status=status,
        refused=refused,
        github=f"/sign-in/github?next={quote(next, safe='')}" if github else "",
    )


def _github(request: Request) -> GitHubSignIn:
    found: GitHubSignIn | None = request.app.state.wiring.github_sign_in
    if found is None:
        raise NotFound(
            "nobody can sign in with GitHub here",
            "set TURNOUT_GITHUB_CLIENT_ID and TURNOUT_GITHUB_CLIENT_SECRET",
        )
    return found


def _back(request: Request) -> str:
    """Where GitHub sends the person back to: the host that they came by, which is one of ours (`guard`)."""
    scheme = "https" if cookies.https(request) else "http"
    return f"{scheme}://{request.headers.get('host', '')}{CALLBACK}"


def _acting(request: Request) -> Acting:
    found: Acting = request.app.state.wiring.acting
    return found
