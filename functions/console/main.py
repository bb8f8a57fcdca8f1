"""The console for people and programs: pages, REST API, badges, metrics (an ASGI function)."""

from __future__ import annotations

import os
import threading
from typing import Any

import functions_framework.aio
from starlette.requests import Request
from starlette.types import ASGIApp

from turnout.adapters.settings import read_settings

read_settings(os.environ)  # what is wrong with them ends the start, and the version before goes on serving
_app: ASGIApp | None = None
_making = threading.Lock()


@functions_framework.aio.http
async def console(request: Request) -> Any:  # noqa: ARG001  # the app reads it itself
    """The framework runs what is returned as the response: here the whole application. Its lifespan does not run."""
    return served()


def served() -> ASGIApp:
    """Made with the first request, after the framework has forked."""
    global _app
    with _making:
        if _app is None:
            from turnout.console.app import create_app
            from turnout.wiring import wiring

            _app = create_app(wiring())
        return _app
