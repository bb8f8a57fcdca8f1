"""Who asks, and whether they may: what the console's routes depend on.

`viewer` is a FastAPI dependency; `allowed` asks for a role, where the route knows the project
(``allowed(viewer, Role.VIEWER, run.project)``).
"""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request
from starlette.exceptions import HTTPException

from turnout.console.identity.telling import tell
from turnout.core.access import Role, Viewer

SIGN_IN = "/sign-in"
MACHINES = ("/api/", "/metrics", "/badges/", "/slack/")
"""Paths that no person reads: they answer 401 and redirect nobody."""


class Unknown(HTTPException):
    """401 for programs; people are sent to the sign-in page."""

    def __init__(self, request: Request) -> None:
        path = request.url.path
        if path.startswith(MACHINES) or request.method not in ("GET", "HEAD"):
            super().__init__(401, "sign in, or send a token", {"WWW-Authenticate": "Bearer"})
            return
        here = path + (f"?{request.url.query}" if request.url.query else "")
        to = f"{SIGN_IN}?next={quote(here, safe='/')}"
        if request.headers.get("hx-request"):  # a part of a page: the whole page is to go there
            super().__init__(401, "sign in", {"HX-Redirect": SIGN_IN})
        else:
            super().__init__(303, "sign in", {"Location": to})


class Refused(HTTPException):
    """403, and for what they may not even see 404: that it exists is not told."""

    def __init__(self, role: Role, reason: str) -> None:
        if role is Role.VIEWER:
            super().__init__(404, "there is nothing here for you")
        else:
            super().__init__(403, reason)


def viewer(request: Request) -> Viewer:
    """Raises: Unknown (401, or the way to the sign-in page)."""
    found = tell(request)
    if found is None:
        raise Unknown(request)
    return found


def allowed(who: Viewer, role: Role, project: str) -> Viewer:
    """Raises: Refused."""
    reason = who.lacks(role, project)
    if reason:
        raise Refused(role, reason)
    return who
