"""A client of an ASGI application in this process: each request on a loop of its own, the answer read whole."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.datastructures import State

from turnout.console.app import create_app
from turnout.wiring import Wiring

BASE = "http://localhost"


_LOOPS = ThreadPoolExecutor(1)
"""Apart from the caller's thread, where a browser that is driven may have a loop that runs."""


class InProcess(httpx.BaseTransport):
    """``peer``: the address that requests seem to come from."""

    def __init__(self, app: FastAPI, peer: str = "127.0.0.1") -> None:
        self._inner = httpx.ASGITransport(app, client=(peer, 50_000))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return _LOOPS.submit(asyncio.run, self._answer(request)).result()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        answer = await self._inner.handle_async_request(sent)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content, request=request)


def app_of(wiring: Wiring) -> FastAPI:
    """This wiring's console. Its routes are made once for all tests of a process, so only one is in use at a time."""
    app = _made(wiring)
    app.state = State()
    app.state.wiring = wiring
    return app


def _made(wiring: Wiring) -> FastAPI:
    if not _APPS:
        _APPS.append(create_app(wiring))
    return _APPS[0]


_APPS: list[FastAPI] = []


def visit(wiring: Wiring, *, peer: str = "127.0.0.1", **options: Any) -> httpx.Client:
    """A browser or a program that asks this console; ``options`` are httpx's."""
    return httpx.Client(transport=InProcess(app_of(wiring), peer), base_url=BASE, **options)


def signed_in(wiring: Wiring) -> httpx.Client:
    """The owner of the home, by their token: an admin everywhere."""
    return visit(wiring, headers={"authorization": f"Bearer {wiring.settings.console_token()}"})
