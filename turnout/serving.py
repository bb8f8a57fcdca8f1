"""What the functions share: the answers that tell the dispatcher whether trying again can help.

2xx: done. 422: never send it again (it goes to the dead letters with this reason). 503: send it again, after
``Retry-After`` seconds where that is known. The body is one line for people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from turnout.adapters.cloudevents import from_cloud_event
from turnout.adapters.settings import InvalidSettings
from turnout.core.envelope import Envelope
from turnout.core.errors import TransientError, TurnoutError
from turnout.logging import get_logger

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

log = get_logger()


def answering(handle: Callable[[Envelope], object]) -> Callable[[CloudEvent], None]:
    """A functions-framework ``cloud_event`` function that opens the envelope, calls ``handle`` and answers honestly."""

    @wraps(handle)
    def function(event: CloudEvent) -> None:
        with honest_answer(type=event["type"], id=event["id"]):
            handle(from_cloud_event(event))

    return function


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
    response = Response(f"{error}\n", status, mimetype="text/plain")
    if after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(after)))
    return HTTPException(response=response)
