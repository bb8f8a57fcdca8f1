"""What every page's route begins with: who looks, and the system they look at."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from turnout.console.identity import viewer
from turnout.core.access import Role, Viewer
from turnout.core.run import Run
from turnout.looking import Looking

Who = Annotated[Viewer, Depends(viewer)]


def looking(request: Request) -> Looking:
    found: Looking = request.app.state.wiring.looking
    return found


Look = Annotated[Looking, Depends(looking)]


def run_for(who: Viewer, look: Looking, given: str) -> Run:
    """Raises: NotFound, also for what they may not see."""
    return look.run(given, lambda project: who.may(Role.VIEWER, project))
