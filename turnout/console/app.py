"""The console's application: what is served where. One wiring an application, in ``app.state.wiring``."""

from __future__ import annotations

from fastapi import FastAPI

from turnout.console import api, badges, metrics, pages, problems
from turnout.console.api.described import describe
from turnout.console.identity import guard, routes
from turnout.wiring import Wiring

TITLE = "Turnout"
ABOUT = """\
Everything that the `turnout` command and the console's pages do.

Times are in UTC (RFC 3339), durations in seconds. Every error is a problem document (RFC 9457,
`application/problem+json`) with `detail`: what went wrong, `next`: what to do about it, and `errors`: all that is
wrong with what was sent. Lists have a `next` cursor; empty: there is no more.
"""


def create_app(wiring: Wiring) -> FastAPI:
    app = FastAPI(
        title=TITLE,
        description=ABOUT,
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.wiring = wiring
    setattr(app, "openapi", lambda: describe(app))  # noqa: B010  # FastAPI's own way to say it differently
    problems.install(app)
    guard.install(app)
    app.add_api_route("/healthz", _healthz, include_in_schema=False)
    for each in (api, badges, metrics, routes, pages):
        app.include_router(each.router)
    return app


async def _healthz() -> str:
    return "ok"
