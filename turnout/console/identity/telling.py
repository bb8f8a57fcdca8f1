"""From a request to who sent it."""

from __future__ import annotations

import getpass
import hmac

from fastapi import Request

from turnout.core.access import EVERYWHERE, Role, Viewer


def tell(request: Request) -> Viewer | None:
    """None: they have not shown who they are."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return None
    expected = request.app.state.wiring.settings.console_token()
    if not hmac.compare_digest(given.strip().encode("utf-8", "replace"), expected.encode()):
        return None
    return Viewer(getpass.getuser(), {EVERYWHERE: Role.ADMIN})
