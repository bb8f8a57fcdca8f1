"""The REST API, under ``/api/v1``."""

from __future__ import annotations

from fastapi import APIRouter

from turnout.console.api import actions, files, logs, runs, system

router = APIRouter(prefix="/api/v1")
for each in (runs, logs, actions, files, system):
    router.include_router(each.router)
