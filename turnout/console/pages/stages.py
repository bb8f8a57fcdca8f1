"""The address of one stage, as checks on GitHub name it: a place on its run's page."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

router = APIRouter()


@router.get("/runs/{run}/stages/{stage}")
def stage(run: str, stage: str) -> RedirectResponse:
    return RedirectResponse(f"/runs/{quote(run, safe='')}#stage-{quote(stage, safe='')}", status_code=303)
