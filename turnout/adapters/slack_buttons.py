"""What Slack posts when somebody presses a button of ours: whether it is Slack who says so, and what it says.

Source: https://docs.slack.dev/authentication/verifying-requests-from-slack,
https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from turnout.core.errors import PermanentError, TransientError
from turnout.core.ports import Clock
from turnout.core.secret_words import digest
from turnout.logging import get_logger
from turnout.pressing import Press
from turnout.webhook import Answer

log = get_logger()

MAX_BODY = 1 << 20
REMEMBERED = timedelta(minutes=11)
"""A request is taken within five minutes of its time stamp, before or after, and so can come again for ten."""


class SlackButtons:
    """``once``: True for the first who comes with a key, which is kept until the second time given."""

    def __init__(
        self, secret: str, once: Callable[[str, Any, Any], bool], press: Callable[[Press], str], clock: Clock
    ) -> None:
        from slack_sdk.signature import Clock as SlackClock
        from slack_sdk.signature import SignatureVerifier

        class Told(SlackClock):
            def now(self) -> float:
                return clock.now().timestamp()

        self._verifier = SignatureVerifier(secret, Told())
        self._once = once
        self._press = press
        self._clock = clock

    def receive(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises: TransientError where the store is away. Slack says so to the person, who presses again."""
        if len(body) > MAX_BODY or not self._is_slacks(headers, body):
            log.warning(
                "a press that Slack has not signed", hint="is TURNOUT_SLACK_SIGNING_SECRET the app's?"
            )
            return Answer(401, {"error": "not signed by Slack"})
        try:
            press = read_press(body)
        except PermanentError as error:
            return Answer(422, {"error": error.message})
        if press is None:
            return Answer(200, {})
        now = self._clock.now()
        try:
            first = self._once(f"slack:{digest(body.decode())}", now, now + REMEMBERED)
            told = self._press(press) if first else ""
        except TransientError as error:
            log.warning("a button's press can't be carried out now", reason=str(error))
            return Answer(503, {"error": "try again"})
        return Answer(200, {"told": told} if told else {})

    def _is_slacks(self, headers: Mapping[str, str], body: bytes) -> bool:
        try:
            return self._verifier.is_valid_request(body, headers)
        except (
            ValueError,
            TypeError,
        ):  # a time that is no number, a body that is no text, signs that are no hex
            return False


def read_press(body: bytes) -> Press | None:
    """None: somebody did something else with a message of ours. Raises: PermanentError."""
    try:
        payload = json.loads(parse_qs(body.decode(), max_num_fields=10)["payload"][0])
        action = payload["actions"][0] if payload["type"] == "block_actions" else {}
        prefix, _, verb = str(action.get("action_id", "")).partition(".")
        if prefix != "turnout" or verb not in ("approve", "reject"):
            return None
        run, _, stage = str(action["value"]).partition(" ")
        said = [str(each) for each in (payload["user"]["id"], payload["channel"]["id"], action["action_ts"])]
        return Press(verb, run, stage, said[0], said[1], f"{said[1]} {said[2]}")  # type: ignore[arg-type]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise PermanentError(f"no press of a button: {error!r}"[:200]) from error
