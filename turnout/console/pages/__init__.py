"""The pages that people look at: server-rendered, live by Server-Sent Events, no build step."""

from __future__ import annotations

from fastapi import APIRouter

from turnout.console.pages import deciding, live, logs, projects, runs, stages, static, system
from turnout.console.pages import run as run_pages

router = APIRouter(include_in_schema=False)
for each in (static, live, runs, logs, run_pages, stages, deciding, projects, system):
    router.include_router(each.router)
