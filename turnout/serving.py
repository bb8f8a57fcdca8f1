"""What the functions share: the answers that tell the dispatcher whether trying again can help.

2xx: done. 422: never send it again (it goes to the dead letters with this reason). 503: send it again, after
``Retry-After`` seconds where that is known. The body is one line for people.
"""

from __future__ import annotations

import hmac
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from turnout.adapters.cloudevents import envelope_of, from_http
from turnout.adapters.settings import InvalidSettings
from turnout.adapters.slow_clients import SLOW_CLIENTS
from turnout.adapters.tracing import tracing
from turnout.core.envelope import MAX_DATA_BYTES, Envelope, Received
from turnout.core.errors import InvalidEnvelope, TransientError, TurnoutError
from turnout.core.posting import Answered
from turnout.core.tracing import TRACEPARENT, Span, of_handling, read
from turnout.logging import get_logger

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = get_logger()

TAKES_EVENTS = "takes_events"
"""The mark of an `answering` function, which is what it handles events with; functions-framework keeps it."""
MAX_EVENT = 2 * MAX_DATA_BYTES
"""Bytes of a request with an event: one in structured mode has its attributes, and base64, around the data."""


def answering(handle: Callable[[Envelope], object]) -> Callable[[Request], Response]:
    """A functions-framework ``http`` function that opens the CloudEvent it is posted, calls ``handle`` and answers.

    It is no ``cloud_event`` function of the framework's, because that one reads bodies of any size, parses them with
    no limit of depth, and answers 500 where it can't: a hostile message would come again and again.
    """

    @wraps(handle)
    def function(request: Request) -> Response:
        if request.method != "POST":
            return _text(405, f"{request.method} is not served here: POST a CloudEvent", Allow="POST")
        admit(request)
        about = {"type": request.headers.get("ce-type", ""), "id": request.headers.get("ce-id", "")}
        with honest_answer(**about):
            envelope = from_http(dict(request.headers), _event(request))
            with _traced(function.__name__, envelope):
                handle(envelope)
        return Response("OK", 200, mimetype="text/plain")

    setattr(function, TAKES_EVENTS, handle)
    return function


def handed(function: Callable[[Request], Response], received: Received) -> Answered:
    """What an `answering` function of this process answers to a record: the same as if it had been posted to it."""
    handle: Callable[[Envelope], object] = getattr(function, TAKES_EVENTS)
    named = dict(received.record.headers)
    about = {"type": named.get("ce_type", b"").decode("utf-8", "replace"), "offset": str(received.offset)}
    try:
        with honest_answer(**about):
            envelope = envelope_of(received)
            with _traced(function.__name__, envelope):
                handle(envelope)
    except HTTPException as error:
        answer = error.response
        assert isinstance(answer, Response), "`honest_answer` says what it answers"
        after = answer.headers.get("Retry-After")
        said = answer.get_data(as_text=True).strip()
        return Answered(answer.status_code, float(after) if after else None, said)
    except Exception:
        log.exception("a function has a defect", function=function.__name__, **about)
        return Answered(500, text="the function has a defect")
    return Answered(200)


@contextmanager
def _traced(function: str, envelope: Envelope) -> Iterator[None]:
    """What it does about the message is a span of the run's trace, where there is a collector."""
    found = tracing()
    place = read(envelope.extensions.get(TRACEPARENT, "")) if found is not None else None
    if found is None or place is None:
        yield
        return
    began, error = datetime.now(UTC), ""
    try:
        yield
    except Exception as raised:
        error = str(raised) if isinstance(raised, TurnoutError) else type(raised).__name__
        raise
    finally:
        about = {"cloudevents.event_id": envelope.id, "cloudevents.event_type": envelope.type}
        mine = of_handling(place, envelope.id)
        name = f"{function} {envelope.type}"
        ended = datetime.now(UTC)
        found.record([Span(name, mine, place.span, began, ended, "consumer", error, about)])


def served(function: Callable[[Request], Response]) -> WSGIApplication:
    """What functions-framework serves of an `answering` function, without what such a one does not use of it: routes,
    contexts and execution ids take more than half of the time of a small event (0.13 → 0.06 ms of CPU)."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer: WSGIApplication
        try:
            answer = function(Request(environ))
        except HTTPException as error:
            answer = error.get_response(environ)
        except Exception:
            log.exception("a function has a defect", path=environ.get("SCRIPT_NAME", ""))
            answer = InternalServerError().get_response(environ)
        return answer(environ, start_response)

    return app


def admit(request: Request) -> None:
    """Where a token is set, only who shows it gets in: on one machine others can reach the functions' port, too.

    The dispatcher is told 403 like anybody, and tries again: it is no fault of the message. Raises: HTTPException.
    """
    names = ("TURNOUT_FUNCTION_TOKEN", "TURNOUT_FUNCTION_TOKEN_FILE")
    expected = _token(*(os.environ.get(name, "") for name in names))
    given = request.headers.get("authorization", "").encode("utf-8", "replace")
    if expected and not hmac.compare_digest(given, f"Bearer {expected}".encode()):
        log.warning("a caller without the token", path=request.path)
        raise HTTPException(response=_text(403, "only Turnout itself is served here"))


@lru_cache(maxsize=1)
def _token(given: str, file: str) -> str:
    return Path(file).read_text().strip() if file else given


def _event(request: Request) -> bytes:
    """Raises: InvalidEnvelope for a body that is too large, or is not well-formed HTTP."""
    try:
        return read_body(request, MAX_EVENT)
    except RequestEntityTooLarge as error:
        raise InvalidEnvelope(f"the event is too large, at most {MAX_EVENT} bytes are taken") from error
    except Exception as error:  # the web server's own errors are among them
        log.warning("a body can't be read", reason=repr(error))
        raise InvalidEnvelope("the body can't be read", "send it whole") from error


def read_body(request: Request, most: int) -> bytes:
    """At most ``most`` bytes, that arrive within `turnout.adapters.slow_clients.WITHIN` seconds.

    Raises: RequestEntityTooLarge, without reading on; anything else where the body is not well-formed HTTP.
    """
    request.max_content_length = most + 1  # one in chunks, whose length is not known, is cut off there
    connection = request.environ.get("gunicorn.socket")
    reading = SLOW_CLIENTS.begin(connection) if connection is not None else None
    try:
        if (request.content_length or 0) > most or len(request.get_data()) > most:
            raise RequestEntityTooLarge
        return request.get_data()
    except Exception:
        request.stream = io.BytesIO()  # the framework would read on to the end, and fail like this again
        raise
    finally:
        SLOW_CLIENTS.end(reading)


@contextmanager
def honest_answer(**about: str) -> Iterator[None]:
    """Errors of ours become answers. ``about`` is logged with them.

    Settings that can't be read are nobody's message's fault: whatever comes waits until they are mended.
    """
    try:
        yield
    except InvalidSettings as error:
        log.error("not in service", reason=str(error), **about)
        raise _answer(503, error) from error
    except TransientError as error:
        log.warning("redelivery asked for", reason=str(error), **about)
        raise _answer(503, error, error.retry_after) from error
    except TurnoutError as error:
        log.error("message refused", reason=str(error), **about)
        raise _answer(422, error) from error


def _answer(status: int, error: TurnoutError, after: float | None = None) -> HTTPException:
    """``after``: seconds that the other side should wait, if known."""
    response = _text(status, str(error))
    if after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(after)))
    return HTTPException(response=response)


def _text(status: int, said: str, **headers: str) -> Response:
    return Response(f"{said}\n", status, headers, mimetype="text/plain")
