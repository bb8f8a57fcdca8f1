"""Slack's Web API through slack-sdk: post, answer, update, and find a message again by its metadata.

Scopes the bot token needs: ``chat:write``; to take up again after a crash also ``channels:history``,
``channels:read`` (``groups:…`` for private channels). Nothing here sleeps: a rate limit is a TransientError that says
how long to wait, and whoever called tries again.
Source: https://docs.slack.dev/apis/web-api/rate-limits, https://docs.slack.dev/messaging/message-metadata
"""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from turnout.core.errors import PermanentError, TransientError
from turnout.logging import get_logger

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError

log = get_logger()

BASE_URL = "https://slack.com/api/"
TIMEOUT = 10
"""Seconds for one connection attempt, and for each wait for data."""

CLOCK_SKEW = 600.0
"""Seconds that our clock may be ahead of Slack's when a message is looked for."""
PAGE = 200
MAX_PAGES = 50

_ID = re.compile(r"[CDGU][A-Z0-9]{7,}")

_TRY_AGAIN = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
_SET_TOKEN = "set TURNOUT_SLACK_TOKEN to the bot token (xoxb-…) of an installed Slack app"  # noqa: S105 (no secret)
HINTS: dict[str, str] = {
    "not_authed": _SET_TOKEN,
    "invalid_auth": _SET_TOKEN,
    "account_inactive": _SET_TOKEN,
    "token_revoked": _SET_TOKEN,
    "token_expired": _SET_TOKEN,
    "not_allowed_token_type": _SET_TOKEN,
    "channel_not_found": "check the channel's name, and invite the app to it if it is private",
    "not_in_channel": "invite the app to the channel with /invite",
    "is_archived": "unarchive the channel, or name another in notify.slack or TURNOUT_SLACK_CHANNEL",
    "restricted_action": "ask a workspace admin to let apps post in the channel",
    "cant_update_message": "the message belongs to another app: was TURNOUT_SLACK_TOKEN changed?",
    "edit_window_closed": "ask a workspace admin to let apps edit their messages at any time",
    "missing_scope": "add the scope to the Slack app and install it again",
    "invalid_blocks": "this is a defect in Turnout: please report it with this message",
    "msg_blocks_too_long": "this is a defect in Turnout: please report it with this message",
}


class SlackRefused(PermanentError):
    """Slack's answer was an error. ``code`` is Slack's word for it (``channel_not_found``)."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.code = code


class SlackChat:
    """Thread-safe, and safe to make before a fork. A reference is ``<channel id>:<ts>``."""

    def __init__(self, token: str, *, base_url: str = BASE_URL, timeout: int = TIMEOUT) -> None:
        self._token = token
        self._base_url = base_url
        self._timeout = timeout
        self._client: WebClient | None = None
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()

    def whoami(self) -> str:
        """The workspace and the app's name in it, to check a token with.

        Raises: SlackRefused, TransientError; so does everything below.
        """
        found = self._call("auth.test")
        return f"{found.get('team', '?')}: {found.get('user', '?')}"

    def post(self, channel: str, message: Mapping[str, Any]) -> str:
        """``channel``: ``#name``, ``name`` or an id. ``message``: text, blocks and metadata."""
        found = self._post(channel.removeprefix("#"), message)
        channel_id = str(found["channel"])
        with self._lock:
            self._ids[_name(channel)] = channel_id
        return f"{channel_id}:{found['ts']}"

    def reply(self, to: str, message: Mapping[str, Any]) -> str:
        """Answer in the thread of the message ``to``."""
        channel, ts = _split(to)
        found = self._post(channel, message, thread_ts=ts)
        return f"{channel}:{found['ts']}"

    def update(self, reference: str, message: Mapping[str, Any]) -> bool:
        """False: the message isn't there any more."""
        channel, ts = _split(reference)
        try:
            self._call("chat.update", json={"channel": channel, "ts": ts, **message})
        except SlackRefused as refused:
            if refused.code == "message_not_found":
                return False
            raise
        return True

    def whisper(self, channel: str, account: str, text: str) -> None:
        """To one person, where only they see it. ``channel``: its id. Where that fails it is logged."""
        said = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        try:
            self._call("chat.postEphemeral", json={"channel": channel, "user": account, "text": said[:3000]})
        except (SlackRefused, TransientError) as error:
            log.warning("Slack did not tell somebody what we have to say", reason=str(error))

    def find(self, channel: str, metadata: Mapping[str, Any], since: datetime) -> str | None:
        """The message with exactly this metadata, posted after ``since`` (less `CLOCK_SKEW`)."""
        channel_id = self._channel_id(channel)
        return self._search("conversations.history", channel_id, metadata, since)

    def find_reply(self, to: str, metadata: Mapping[str, Any], since: datetime) -> str | None:
        channel, ts = _split(to)
        return self._search("conversations.replies", channel, metadata, since, ts=ts)

    def _post(self, channel: str, message: Mapping[str, Any], **more: str) -> Mapping[str, Any]:
        quiet = {"unfurl_links": False, "unfurl_media": False}
        return self._call("chat.postMessage", json={"channel": channel, **quiet, **message, **more})

    def _search(
        self, method: str, channel: str, metadata: Mapping[str, Any], since: datetime, **more: str
    ) -> str | None:
        asked = {
            "channel": channel,
            "oldest": f"{since.timestamp() - CLOCK_SKEW:.6f}",
            "include_all_metadata": True,
            **more,
        }
        for page in self._pages(method, asked):
            for each in page.get("messages", ()):
                if each.get("metadata") == metadata and each.get("subtype") != "tombstone":
                    return f"{channel}:{each['ts']}"
        return None

    def _channel_id(self, channel: str) -> str:
        if _ID.fullmatch(channel):
            return channel
        name = _name(channel)
        with self._lock:
            if name in self._ids:
                return self._ids[name]
        try:
            found = self._listed("public_channel,private_channel")
        except SlackRefused as refused:
            if refused.code != "missing_scope":
                raise
            found = self._listed("public_channel")  # without groups:read, private channels stay unknown
        with self._lock:
            self._ids.update(found)
        if name not in found:
            raise SlackRefused(
                "channel_not_found", f"Slack has no channel #{name}", HINTS["channel_not_found"]
            )
        return found[name]

    def _listed(self, types: str) -> dict[str, str]:
        asked = {"types": types, "exclude_archived": True}
        pages = self._pages("conversations.list", asked)
        return {str(each["name"]): str(each["id"]) for page in pages for each in page.get("channels", ())}

    def _pages(self, method: str, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        cursor = ""
        for _ in range(MAX_PAGES):
            found = self._call(
                method, data={**asked, "limit": PAGE, **({"cursor": cursor} if cursor else {})}
            )
            yield found
            cursor = (found.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return
        raise TransientError(f"Slack: {method} did not end after {MAX_PAGES} pages")

    def _call(
        self, method: str, *, json: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        from slack_sdk.errors import SlackApiError

        client = self._web_client()
        try:
            answer = client.api_call(
                method, json=dict(json) if json else None, data=dict(data) if data is not None else None
            )
        except SlackApiError as error:
            raise _translated(method, error) from error
        except (OSError, http.client.HTTPException) as error:
            raise TransientError(
                f"Slack: {method}: no answer: {error}", "is TURNOUT_SLACK_BASE_URL right?"
            ) from error
        found: Mapping[str, Any] = answer.data if isinstance(answer.data, dict) else {}
        return found

    def _web_client(self) -> WebClient:
        with self._lock:
            if self._client is None:
                from slack_sdk import WebClient

                self._client = WebClient(
                    self._token, base_url=self._base_url, timeout=self._timeout, retry_handlers=[]
                )
                self._client.proxy = (
                    None  # urllib heeds the proxy variables itself, and NO_PROXY, which the SDK does not
                )
            return self._client


def _translated(method: str, error: SlackApiError) -> SlackRefused | TransientError:
    response = error.response
    status = int(getattr(response, "status_code", 0) or 0)
    answer = response.data if isinstance(getattr(response, "data", None), dict) else {}
    code = str(answer.get("error", "")) or f"HTTP {status}"
    if status == http.client.TOO_MANY_REQUESTS or code in ("ratelimited", "rate_limited"):
        wait = _retry_after(response.headers)
        return TransientError(f"Slack: {method}: asked to wait {wait:g} s (rate limit)", retry_after=wait)
    if status >= http.client.INTERNAL_SERVER_ERROR or code in _TRY_AGAIN:
        return TransientError(f"Slack: {method}: {code[:200]} (HTTP {status})")
    said = (answer.get("response_metadata") or {}).get("messages") or ()
    needed = f", needs {answer['needed']}" if answer.get("needed") else ""
    details = f": {'; '.join(map(str, said))[:500]}" if said else ""
    return SlackRefused(code, f"Slack: {method}: {code[:200]}{needed}{details}", HINTS.get(code, ""))


def _retry_after(headers: Mapping[str, Any]) -> float:
    """Seconds; 1 where the header is missing or isn't a number."""
    found = next((value for name, value in headers.items() if name.lower() == "retry-after"), "1")
    try:
        return max(float(found[0] if isinstance(found, list) else found), 0.0)
    except ValueError:
        return 1.0


def _name(channel: str) -> str:
    return channel.removeprefix("#").lower()


def _split(reference: str) -> tuple[str, str]:
    channel, _, ts = reference.partition(":")
    if not channel or not ts:
        raise PermanentError(f"Slack: {reference!r} does not name a message")
    return channel, ts
