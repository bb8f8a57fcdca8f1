"""Somebody presses a button of a message: what Slack then posts to the app, signed as Slack signs it.

Source: https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from local.slack.workspace import Workspace

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Finger:
    """``url``: the app's request URL. ``secret``: what Slack signs with. ``skew``: seconds that its clock is ahead."""

    url: str
    secret: str
    skew: float = 0.0

    def press(self, workspace: Workspace, channel: str, label: str, account: str) -> int:
        """The button with this ``label`` in the newest message of the channel that has one; the app's HTTP status.

        Raises: LookupError where there is none.
        """
        for message in reversed(workspace.messages(channel)):
            for block in message.get("blocks", ()):
                for button in block.get("elements", ()) if block["type"] == "actions" else ():
                    if button["text"]["text"] == label:
                        body = self.body(workspace.id_of(channel), message, block, button, account)
                        return self.post(body)
        raise LookupError(f"no button {label!r} in #{channel}")

    def body(
        self,
        channel: str,
        message: dict[str, Any],
        block: dict[str, Any],
        button: dict[str, Any],
        account: str,
    ) -> bytes:
        number = next(_numbers)
        payload = {
            "type": "block_actions",
            "user": {"id": account, "username": account.lower(), "team_id": "T0STANDIN0"},
            "api_app_id": "A0TURNOUT0",
            "container": {"type": "message", "message_ts": message["ts"], "channel_id": channel},
            "trigger_id": f"{number}.{time.time_ns()}",
            "channel": {"id": channel},
            "message": message,
            "response_url": "https://hooks.slack.com/actions/T0STANDIN0/0/0",
            "actions": [
                {
                    "type": "button",
                    "action_id": button["action_id"],
                    "block_id": block["block_id"],
                    "value": button["value"],
                    "text": button["text"],
                    "action_ts": f"{time.time():.6f}",
                }
            ],
        }
        return urlencode({"payload": json.dumps(payload)}).encode()

    def signed(self, body: bytes) -> dict[str, str]:
        at = str(int(time.time() + self.skew))
        made = hmac.new(self.secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
        return {
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": f"v0={made}",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> int:
        """``headers``: of an earlier request, to send it again."""
        asked = urllib.request.Request(self.url, body, headers or self.signed(body))  # noqa: S310 (a test's)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
