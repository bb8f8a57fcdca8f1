"""The door for GitHub: ``POST /`` with a signed delivery."""

from __future__ import annotations

import json

import functions_framework
from flask import Request, Response

from turnout.webhook import MAX_BODY, Answer
from turnout.wiring import wiring


@functions_framework.http
def webhook(request: Request) -> Response:
    request.max_content_length = MAX_BODY
    if request.method != "POST":
        return _response(
            Answer(405, {"error": f"{request.method} is not served here", "hint": "POST a delivery"})
        )
    if (request.content_length or 0) > MAX_BODY:
        return _response(
            Answer(413, {"error": "the body is too large", "hint": f"send at most {MAX_BODY} bytes"})
        )
    return _response(wiring().webhook.receive(request.headers, request.get_data(cache=False)))


def _response(answer: Answer) -> Response:
    return Response(json.dumps(answer.body), answer.status, mimetype="application/json")
