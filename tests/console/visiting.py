"""A client of an ASGI application in this process: each request on a loop of its own, the answer read whole."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI

from turnout.console.app import create_app
from turnout.wiring import Wiring

BASE = "http://localhost"


class InProcess(httpx.BaseTransport):
    """``peer``: the address that requests seem to come from."""

    def __init__(self, app: FastAPI, peer: str = "127.0.0.1") -> None:
        self._inner = httpx.ASGITransport(app, client=(peer, 50_000))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        answer = await self._inner.handle_async_request(sent)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content, request=request)


def visit(wiring: Wiring, *, peer: str = "127.0.0.1", **options: Any) -> httpx.Client:
    """A browser or a program that asks this console; ``options`` are httpx's."""
    return httpx.Client(transport=InProcess(create_app(wiring), peer), base_url=BASE, **options)
