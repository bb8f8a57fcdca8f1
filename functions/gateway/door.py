"""The gateway's use case as HTTP: paths, bodies, statuses."""

from __future__ import annotations

import io
import json
import math
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from flask import Request, Response
from pydantic import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from turnout import gateway as g
from turnout.adapters.settings import InvalidSettings
from turnout.adapters.slow_clients import SLOW_CLIENTS
from turnout.core.errors import NotFound, PermanentError, TransientError, TurnoutError
from turnout.core.model import Value
from turnout.core.quoting import quoted
from turnout.core.strict_json import read_json
from turnout.logging import get_logger
from turnout.serving import read_body

log = get_logger()

MAX_UPLOADS = 4
"""At once, in one process: a slow one holds a thread."""
PIECE = (
    1 << 18
)  # bytes of an upload that have to arrive within `turnout.adapters.slow_clients.WITHIN` seconds
SMALL = 8 * 1024  # bytes of a body that says little
_PATH = re.compile(r"/attempts/([A-Za-z0-9_][A-Za-z0-9._-]{0,119})(?:/([a-z]+)(?:/(.+))?)?")
_STATUS: tuple[tuple[type[TurnoutError], int, str], ...] = (
    (g.NoPass, 401, "no_pass"),
    (g.WrongPass, 403, "wrong_pass"),
    (g.NotWanted, 410, "not_wanted"),
    (g.NotNow, 409, "not_now"),
    (g.Gap, 409, "gap"),
    (g.TooLarge, 413, "too_large"),
    (g.TooMuch, 429, "too_much"),
    (NotFound, 404, "unknown"),
    (TransientError, 503, "again"),
)
_uploads = threading.BoundedSemaphore(MAX_UPLOADS)
_Body = TypeVar("_Body", bound=Value)


def answered(request: Request, gateway: Callable[[], g.Gateway]) -> Response:
    try:
        return _json(200, _answer(request, gateway))
    except InvalidSettings as error:
        log.error("not in service", reason=str(error))
        return _json(503, {"error": "not in service", "hint": "its log says why", "kind": "again"})
    except TurnoutError as error:
        status, kind = next(((s, k) for each, s, k in _STATUS if isinstance(error, each)), (422, "refused"))
        if status >= 500:
            log.warning("a job has to come again", path=request.path, reason=str(error))
        said: dict[str, Any] = {"error": error.message, "hint": error.hint, "kind": kind}
        if isinstance(error, g.Gap):
            said["have"] = error.have
        answer = _json(status, said)
        if isinstance(error, TransientError) and error.retry_after is not None:
            answer.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
        return answer
    finally:
        request.stream = io.BytesIO()  # the framework would read on to the end of what was refused


def _answer(request: Request, gateway: Callable[[], g.Gateway]) -> Any:
    found = _PATH.fullmatch(request.path)
    if found is None:
        raise NotFound("nothing is served here", "ask for /attempts/<attempt>/task")
    attempt, verb, name = found.groups()
    serving = gateway()
    visit = serving.enter(attempt, _bearer(request), request.headers.get("Turnout-Session", "")[:200])
    match request.method, verb, name:
        case "GET", None, None:
            return visit.standing.to_json()
        case "GET", "task", None:
            return serving.task(visit)
        case "POST", "started", None:
            return serving.started(visit, _body(request, g.Start, SMALL)).to_json()
        case "POST", "heartbeat", None:
            return serving.heartbeat(visit, _body(request, g.Beat, SMALL)).to_json()
        case "POST", "grants", None:
            return serving.grants(visit)
        case "POST", "logs", None:
            return serving.log(visit, _body(request, g.Chunk, 6 * g.MAX_CHUNK + SMALL))
        case "POST", "artifacts", None:
            return serving.announce(visit, _body(request, g.Announced, SMALL))
        case "PUT", "artifacts", str():
            return _upload(request, name, lambda file, pieces: serving.upload(visit, file, pieces))
        case "GET", "baseline", None:
            return serving.baseline(visit)
        case "PUT", "baseline", None:
            return _upload(
                request, "baseline", lambda file, pieces: serving.keep_baseline(visit, file, pieces)
            )
        case "POST", "finished", None:
            return serving.finished(visit, _body(request, g.Answer, g.MAX_RESULT)).to_json()
        case _:
            raise NotFound(f"{request.method} {verb or ''} is not served here", "see docs/gateway.md")


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _body(request: Request, model: type[_Body], most: int) -> _Body:
    """Raises: TooLarge, PermanentError naming the field that is wrong."""
    try:
        return model.model_validate(read_json(read_body(request, most)), extra="ignore")
    except RequestEntityTooLarge as error:
        raise g.TooLarge(f"the body is too large, at most {most} bytes are taken") from error
    except ValidationError as error:
        raise PermanentError(_wrong(error)) from error
    except Exception as error:  # the web server's own errors are among them
        raise PermanentError("the body can't be read", "send JSON, and all of it") from error


def _wrong(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(quoted(part)) for part in first['loc'])}: {first['msg']}"


def _upload(
    request: Request, name: str, keep: Callable[[g.Announced, Iterator[bytes]], dict[str, Any]]
) -> dict[str, Any]:
    if request.content_length is None:
        raise PermanentError("Content-Length is missing", "say how large the artifact is")
    try:
        file = g.Announced(
            name=name,
            size=request.content_length,
            sha256=request.headers.get("Turnout-Sha256", "").lower(),
            media_type=request.headers.get("Content-Type") or "application/octet-stream",
        )
    except ValidationError as error:
        raise PermanentError(_wrong(error), "send Turnout-Sha256, in hex") from error
    if not _uploads.acquire(blocking=False):
        raise TransientError(f"{MAX_UPLOADS} uploads are under way", retry_after=1.0)
    try:
        request.max_content_length = file.size + 1
        return keep(file, _pieces(request, file.size))
    finally:
        _uploads.release()


def _pieces(request: Request, size: int) -> Iterator[bytes]:
    """The body, each piece in its time. Raises: PermanentError when it does not come whole."""
    connection = request.environ.get("gunicorn.socket")
    left = size
    while left > 0:
        reading = SLOW_CLIENTS.begin(connection) if connection is not None else None
        try:
            piece = request.stream.read(min(PIECE, left))
        except Exception as error:  # the web server's own errors are among them
            raise PermanentError("the upload can't be read", "send it whole") from error
        finally:
            SLOW_CLIENTS.end(reading)
        if not piece:
            return
        left -= len(piece)
        yield piece


def _json(status: int, said: Any) -> Response:
    return Response(json.dumps(said), status, mimetype="application/json")
