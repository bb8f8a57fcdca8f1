"""A function that is called answers what it answers when it is posted to."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import Client

from turnout.adapters.settings import InvalidSettings
from turnout.core.envelope import Envelope, Received, Record
from turnout.core.errors import InvalidEnvelope, NotFound, PermanentError, TransientError
from turnout.core.posting import Answered, Route
from turnout.serving import answering, served
from turnout.stack.same_process import SameProcess

URL = "http://127.0.0.1/handled"
ERRORS = {
    "envelope": InvalidEnvelope("data.run: Field required"),
    "permanent": PermanentError("Slack refuses the token", "check TURNOUT_SLACK_TOKEN"),
    "missing": NotFound("no run r1"),
    "transient": TransientError("the broker is away"),
    "asked": TransientError("Slack is busy", retry_after=2.2),
    "settings": InvalidSettings("TURNOUT_LEASE: no"),
    "defect": ZeroDivisionError("of the value hunter2"),
}


@answering
def handled(envelope: Envelope) -> None:
    if (error := ERRORS.get(envelope.data["raise"])) is not None:
        raise error


def answer(body: bytes) -> Answered:
    record = Envelope(id="1", type="t", source="s", data={}).to_record("orders", "k")
    found = SameProcess({URL: handled}).post(
        Route("orders", URL), Received(Record("orders", "k", body, record.headers), 0, 7, 1.0)
    )
    assert isinstance(found, Answered)
    return found


@pytest.mark.parametrize("wanted", ["none", *ERRORS])
def test_it_answers_as_over_http(wanted: str) -> None:
    headers = {"ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-specversion": "1.0"}
    posted: Any = Client(served(handled)).post("/", json={"raise": wanted}, headers=headers)
    after = posted.headers.get("Retry-After")
    found = answer(f'{{"raise": "{wanted}"}}'.encode())
    assert (found.status, found.retry_after) == (posted.status_code, float(after) if after else None)
    if wanted not in ("none", "defect"):
        assert found.text == posted.text.strip()
    assert "hunter2" not in found.text


def test_what_is_no_message_is_refused() -> None:
    assert answer(b"{").status == 422
