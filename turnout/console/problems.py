"""Errors as answers: problem documents for programs. Source: RFC 9457."""

from __future__ import annotations

import http
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnout.acting import NotAllowed, NotNow
from turnout.adapters.settings import InvalidSettings
from turnout.core.errors import InvalidConfig, NotFound, TransientError, TurnoutError
from turnout.logging import get_logger

log = get_logger()

MEDIA_TYPE = "application/problem+json"
MAX_BODY = 1 << 20
"""Bytes of a request; a pipeline file is the largest that anybody has to send."""


class Wrong(BaseModel):
    """One thing that is wrong in what was sent: ``where`` it is, ``what`` it is, and what to do ``next``."""

    where: str
    what: str
    next: str = ""


class Problem(BaseModel):
    """Why a request was not served (RFC 9457)."""

    type: str = Field(
        default="about:blank", description="The kind of problem; `about:blank`: the status says it all."
    )
    title: str = Field(description="The kind, in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(default="", description="What went wrong.")
    next: str = Field(default="", description="What to do next.")
    instance: str = Field(default="", description="The path that was asked for.")
    errors: list[Wrong] = Field(default_factory=list, description="Everything that is wrong, at once.")


_NEXT = {
    400: "send a well-formed request",
    404: "GET /api/v1/openapi.json describes what is served",
    405: "use one of the methods that Allow names",
    413: f"send at most {MAX_BODY} bytes",
    415: "send application/json",
    500: "try again; the console's log has the details",
}


def response(
    request: Request,
    status: int,
    detail: str,
    hint: str = "",
    errors: Iterable[Wrong] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    problem = Problem(
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        next=hint or _NEXT.get(status, ""),
        instance=request.url.path,
        errors=list(errors),
    )
    told = dict(headers or {}) | {"Cache-Control": "no-store"}
    if _for_people(request):
        from turnout.console.pages.wrong import wrong

        return wrong(request, problem, told)
    said = json.dumps(problem.model_dump())  # ASCII: what others have sent may be no Unicode
    return Response(said, status, headers=told, media_type=MEDIA_TYPE)


def _for_people(request: Request) -> bool:
    """Whether a browser shows the answer to somebody."""
    machines = ("/api/", "/metrics", "/badges/", "/slack/", "/static/", "/live/")
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(machines)


def status_of(error: TurnoutError) -> int:
    match error:
        case InvalidSettings() | TransientError():
            return 503
        case NotFound():
            return 404
        case NotAllowed():
            return 403
        case NotNow():
            return 409
        case _:
            return 422


def install(app: FastAPI) -> None:
    """Every error becomes a problem document, also one of ours."""
    app.add_exception_handler(TurnoutError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_middleware(Bounded)
    app.add_middleware(Caught)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, TurnoutError)
    status = status_of(error)
    headers: dict[str, str] = {}
    if isinstance(error, TransientError):
        log.warning("the console can't answer now", path=request.url.path, reason=str(error))
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    if isinstance(error, InvalidSettings):
        log.error("not in service", reason=str(error))
        return response(request, status, "not in service", "the console's log says why")
    if isinstance(error, InvalidConfig):
        errors = [
            Wrong(
                where=_place(each.file, each.line, each.column, each.path), what=each.message, next=each.hint
            )
            for each in error.problems
        ]
        count = len(errors)
        return response(request, status, f"{count} problem{'s' * (count != 1)} found", "mend them", errors)
    return response(request, status, error.message, error.hint, headers=headers)


def _place(file: str, line: int, column: int, path: str) -> str:
    where = f"{file}:{line}:{column}" if line else file
    return f"{where} {path}" if path else where


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        Wrong(where=".".join(str(part)[:100] for part in each["loc"]), what=each["msg"])
        for each in error.errors()
    ]
    return response(request, 422, "the request is not as described", errors=errors)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if error.status_code < 400:
        return Response(status_code=error.status_code, headers=error.headers)
    return response(request, error.status_code, detail, headers=error.headers)


class Caught:
    """Our own defects are logged, and answered like any error, once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            if scope["type"] != "http":
                raise
            log.exception("the console has a defect", path=scope.get("path", ""))
            if not begun:
                await response(Request(scope), 500, "a defect of Turnout")(scope, receive, send)


class Bounded:
    """No body is larger than `MAX_BODY`, however it is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > MAX_BODY:
            await self._refuse(scope, receive, send)
            return
        received = 0

        async def receiving() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY:
                raise HTTPException(413, "the body is too large")
            return message

        await self._app(scope, receiving, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await response(Request(scope), 413, "the body is too large")(scope, receive, send)
