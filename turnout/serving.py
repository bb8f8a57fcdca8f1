"""What the functions share: the answers that tell the dispatcher whether trying again can help.

2xx: done. 422: never send it again (it goes to the dead letters with this reason). 503: send it again, after
``Retry-After`` seconds where that is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING

import structlog
from werkzeug.exceptions import ServiceUnavailable, UnprocessableEntity

from turnout.adapters.cloudevents import from_cloud_event
from turnout.core.envelope import Envelope
from turnout.core.errors import TransientError, TurnoutError

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

log = structlog.get_logger()


def answering(handle: Callable[[Envelope], object]) -> Callable[[CloudEvent], None]:
    """A functions-framework ``cloud_event`` function that opens the envelope, calls ``handle`` and answers honestly."""

    @wraps(handle)
    def function(event: CloudEvent) -> None:
        try:
            handle(from_cloud_event(event))
        except TransientError as error:
            log.warning("redelivery asked for", reason=str(error), type=event["type"], id=event["id"])
            after = math.ceil(error.retry_after) if error.retry_after else None
            raise ServiceUnavailable(str(error), retry_after=after) from error
        except TurnoutError as error:
            log.error("message refused", reason=str(error), type=event["type"], id=event["id"])
            raise UnprocessableEntity(str(error)) from error

    return function
