"""From a request to who sent it."""

from __future__ import annotations

import math

from fastapi import Request
from starlette.exceptions import HTTPException

from turnout.acting import Actor
from turnout.console.identity import cookies
from turnout.console.identity.tries import FailedTries
from turnout.core.access import Viewer
from turnout.core.ports.accounts import BrowserSession
from turnout.identifying import Identity


def tell(request: Request) -> Viewer | None:
    """None: they have not shown who they are. Where a token is sent, nothing else counts.

    Raises: HTTPException (429) where too many tokens from there were wrong.
    """
    if "authorization" in request.headers:
        kind, _, given = request.headers["authorization"].partition(" ")
        listened_to(request)
        found = identity(request).of_bearer(given.strip()) if kind.lower() == "bearer" else None
        if found is None:
            tries(request).failed(address(request))
        return found
    session = session_of(request)
    return session[1] if session else None


def session_of(request: Request) -> tuple[BrowserSession, Viewer] | None:
    cookie = cookies.read(request, cookies.SESSION)
    return identity(request).of_session(cookie) if cookie else None


def identity(request: Request) -> Identity:
    found: Identity = request.app.state.wiring.identity
    return found


def actor(request: Request, who: Viewer) -> Actor:
    """Who does what is asked for; ``Idempotency-Key`` names the one time that it is to be done."""
    return Actor(who, address(request), request.headers.get("idempotency-key", "")[:200])


def address(request: Request) -> str:
    return request.client.host if request.client else ""


def tries(request: Request) -> FailedTries:
    state = request.app.state
    if not hasattr(state, "failed_tries"):
        state.failed_tries = FailedTries()
    found: FailedTries = state.failed_tries
    return found


def listened_to(request: Request) -> None:
    """Raises: HTTPException (429)."""
    wait = tries(request).wait(address(request))
    if wait:
        after = {"Retry-After": str(math.ceil(wait))}
        raise HTTPException(429, "too many tries that were wrong", after)
