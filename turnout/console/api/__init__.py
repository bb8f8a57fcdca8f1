"""The REST API, under ``/api/v1``."""

from __future__ import annotations

from fastapi import APIRouter

from turnout.console.api import logs, runs

router = APIRouter(prefix="/api/v1")
for each in (runs, logs):
    router.include_router(each.router)
