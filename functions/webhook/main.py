"""The door for those outside: GitHub's signed deliveries at ``/``, presses of Slack's buttons at ``/slack/actions``."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import functions_framework
from flask import Request, Response
from werkzeug.exceptions import RequestEntityTooLarge

from turnout.adapters.settings import InvalidSettings, read_settings
from turnout.adapters.tracing import tracing
from turnout.core.errors import TransientError
from turnout.core.tracing import Span, of_handling, of_run
from turnout.logging import get_logger
from turnout.serving import read_body
from turnout.webhook import MAX_BODY, MAX_EVENT_NAME, Answer
from turnout.wiring import wiring

read_settings(os.environ)  # what is wrong with them ends the start, and the version before goes on serving
log = get_logger()

SLACK = "/slack/actions"


@functions_framework.http
def webhook(request: Request) -> Response:
    began = datetime.now(UTC)
    answer = _answer(request)
    _trace(request, answer, began)
    return Response(json.dumps(answer.body), answer.status, mimetype="application/json")


def _trace(request: Request, answer: Answer, began: datetime) -> None:
    """The delivery that makes a run stands in the run's trace, where there is a collector."""
    found, run = tracing(), str(answer.body.get("run", ""))
    if found is None or not run:
        return
    delivery = str(answer.body.get("delivery", ""))
    parent = of_run(run)
    about: dict[str, str | int] = {"http.response.status_code": answer.status, "github.delivery": delivery}
    name = f"webhook {request.headers.get('x-github-event', '')[:MAX_EVENT_NAME]}"
    mine = of_handling(parent, delivery)
    found.record([Span(name, mine, parent.span, began, datetime.now(UTC), "server", attributes=about)])


def _pressed(headers: dict[str, str], body: bytes) -> Answer:
    buttons = wiring().slack_buttons
    if buttons is None:
        log.warning("nobody listens to buttons", hint="set TURNOUT_SLACK_TOKEN, TURNOUT_SLACK_SIGNING_SECRET")
        return Answer(401, {"error": "not signed by Slack"})  # who does not sign learns nothing
    return buttons.receive(headers, body)


def _answer(request: Request) -> Answer:
    try:
        body = read_body(request, MAX_BODY)
    except RequestEntityTooLarge:
        return Answer(413, {"error": "the body is too large", "hint": f"send at most {MAX_BODY} bytes"})
    except Exception as error:  # the web server's own errors are among them
        log.warning("a body can't be read", reason=repr(error))
        return Answer(400, {"error": "the body can't be read", "hint": "send it whole"})
    if request.method != "POST":
        return Answer(405, {"error": f"{request.method} is not served here", "hint": "POST a delivery"})
    try:
        if request.path == SLACK:
            return _pressed(dict(request.headers), body)
        return wiring().webhook.receive(dict(request.headers), body)
    except InvalidSettings as error:
        log.error("not in service", reason=str(error))
        return Answer(503, {"error": "not in service", "hint": "its log says why; then redeliver"})
    except TransientError as error:
        log.warning("redelivery asked for", reason=str(error))
        return Answer(503, {"error": "not in service yet", "hint": "its log says why; then redeliver"})
