"""A Slack workspace in memory: channels, messages, threads; every call that was made; faults made to order."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.slack.block_rules import as_answers, refuse
from local.slack.faults import Answer, Call, Fault

Json = dict[str, Any]
BOT = {"user": "U0TURNOUT0", "bot_id": "B0TURNOUT0", "app_id": "A0TURNOUT0", "team": "T0STANDIN0"}
DEFAULT_PAGE, LARGEST_PAGE = 100, 999


@dataclass(slots=True)
class Channel:
    id: str
    name: str
    messages: list[Json] = field(default_factory=list)


Watcher = Callable[[str, str, Json], None]
"""Told ``posted``, ``replied``, ``updated`` or ``whispered``, the channel's name and a copy of the message."""


class Refused(Exception):
    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.body: Json = {"ok": False, "error": error, **more}


class Workspace:
    """Thread-safe. ``channels``: the names that exist; None: any name that is asked for.

    ``tokens``: those that are known, None: any that begins with ``xoxb-``.
    """

    def __init__(
        self,
        channels: Sequence[str] | None = None,
        *,
        tokens: Sequence[str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.calls: list[Call] = []
        self.watchers: list[Watcher] = []
        self.whispers: list[tuple[str, str]] = []
        """Who was told what, where nobody else saw it."""
        self._open = channels is None
        self._tokens = None if tokens is None else frozenset(tokens)
        self._clock = clock
        self._lock = threading.RLock()
        self._channels: dict[str, Channel] = {}
        self._faults: list[Fault] = []
        self._last_ts = 0
        for name in channels or ():
            self._add(name)

    # --- for tests, and for people ------------------------------------------------------------

    def fail(self, fault: Fault) -> None:
        """Faults are used up in the order in which they were given."""
        with self._lock:
            self._faults.append(fault)

    def messages(self, channel: str) -> list[Json]:
        """The channel's messages without the threads' answers, oldest first."""
        with self._lock:
            return [dict(each) for each in self._named(channel).messages if not _is_reply(each)]

    def replies(self, channel: str, ts: str) -> list[Json]:
        """The answers in the thread of the message ``ts``, oldest first."""
        with self._lock:
            found = self._named(channel).messages
            return [dict(each) for each in found if _is_reply(each) and each["thread_ts"] == ts]

    def id_of(self, channel: str) -> str:
        with self._lock:
            return self._named(channel).id

    def delete(self, channel: str, ts: str) -> None:
        """As a person does it in the client."""
        with self._lock:
            found = self._named(channel)
            found.messages = [each for each in found.messages if each["ts"] != ts]

    def channels(self) -> list[str]:
        with self._lock:
            return [each.name for each in self._channels.values()]

    # --- the Web API --------------------------------------------------------------------------

    def call(self, method: str, arguments: Mapping[str, Any], token: str) -> Answer:
        with self._lock:
            fault = self._next_fault(method)
            if fault is not None and not fault.applied:
                self._note(method, arguments, fault.name)
                return fault.answer()
            try:
                self._authorise(token)
                handler = _METHODS.get(method)
                if handler is None:
                    raise Refused("unknown_method", req_method=method)
                body: Json = {"ok": True, **handler(self, arguments)}
            except Refused as refused:
                body = refused.body
            self._note(method, arguments, "" if body["ok"] else body["error"])
            return fault.answer() if fault is not None else Answer(body)

    def _authorise(self, token: str) -> None:
        if not token:
            raise Refused("not_authed")
        known = token.startswith("xoxb-") if self._tokens is None else token in self._tokens
        if not known:
            raise Refused("invalid_auth")

    def _next_fault(self, method: str) -> Fault | None:
        for fault in self._faults:
            if fault.method in ("*", method):
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None

    def _note(self, method: str, arguments: Mapping[str, Any], error: str) -> None:
        self.calls.append(Call(method, dict(arguments), self._clock(), error))

    # --- its methods --------------------------------------------------------------------------

    def _auth_test(self, _asked: Mapping[str, Any]) -> Json:
        team = {"url": "https://stand-in.slack.com/", "team": "Stand-in", "team_id": BOT["team"]}
        return team | {"user": "turnout", "user_id": BOT["user"], "bot_id": BOT["bot_id"]}

    def _post_message(self, asked: Mapping[str, Any]) -> Json:
        channel = self._find(str(asked.get("channel", "")), by_name=True)
        self._check(asked)
        ts, thread = self._next_ts(), str(asked.get("thread_ts", ""))
        parent = next((each for each in channel.messages if each["ts"] == thread), None)
        if thread and parent is None:
            raise Refused("thread_not_found")
        message: Json = {"type": "message", **BOT, "ts": ts, **_content(asked)}
        if parent is not None:
            message["thread_ts"] = thread
            parent["thread_ts"] = thread
            parent["reply_count"] = int(parent.get("reply_count", 0)) + 1
            parent["latest_reply"] = ts
        channel.messages.append(message)
        self._tell("replied" if thread else "posted", channel, message)
        return {"channel": channel.id, "ts": ts, "message": dict(message)}

    def _whisper(self, asked: Mapping[str, Any]) -> Json:
        channel = self._find(str(asked.get("channel", "")))
        if not asked.get("user"):
            raise Refused("user_not_in_channel")
        self._check(asked)
        ts = self._next_ts()
        self.whispers.append((str(asked["user"]), str(asked.get("text", ""))))
        self._tell("whispered", channel, {"ts": ts, **BOT, **_content(asked)})
        return {"message_ts": ts}

    def _update(self, asked: Mapping[str, Any]) -> Json:
        channel = self._find(str(asked.get("channel", "")))
        message = next((each for each in channel.messages if each["ts"] == asked.get("ts")), None)
        if message is None:
            raise Refused("message_not_found")
        self._check(asked)
        message.update(_content(asked))
        message["edited"] = {"user": BOT["user"], "ts": self._next_ts()}
        self._tell("updated", channel, message)
        return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": dict(message)}

    def _history(self, asked: Mapping[str, Any]) -> Json:
        channel = self._find(str(asked.get("channel", "")))
        top = [each for each in reversed(channel.messages) if not _is_reply(each)]
        return self._page(top, asked)

    def _replies(self, asked: Mapping[str, Any]) -> Json:
        channel = self._find(str(asked.get("channel", "")))
        ts = str(asked.get("ts", ""))
        parent = next((each for each in channel.messages if each["ts"] == ts), None)
        if parent is None:
            raise Refused("thread_not_found")
        answers = [each for each in channel.messages if _is_reply(each) and each["thread_ts"] == ts]
        page = self._page(answers, asked)
        return page | {"messages": [_shown(parent, asked), *page["messages"]]}

    def _list(self, asked: Mapping[str, Any]) -> Json:
        each = [
            {"id": found.id, "name": found.name, "is_channel": True, "is_private": False}
            | {"is_archived": False, "is_member": True}
            for found in self._channels.values()
        ]
        taken, cursor = _cut(each, asked)
        return {"channels": taken, "response_metadata": {"next_cursor": cursor}}

    def _page(self, messages: list[Json], asked: Mapping[str, Any]) -> Json:
        oldest, latest = float(asked.get("oldest") or 0), float(asked.get("latest") or "inf")
        within = [each for each in messages if oldest < float(each["ts"]) < latest]
        taken, cursor = _cut(within, asked)
        return {
            "messages": [_shown(each, asked) for each in taken],
            "has_more": bool(cursor),
            "response_metadata": {"next_cursor": cursor},
        }

    # --- its state ----------------------------------------------------------------------------

    def _check(self, asked: Mapping[str, Any]) -> None:
        refusal = refuse(asked.get("text"), asked.get("blocks"))
        if refusal is not None:
            said = {"messages": as_answers(refusal.messages)} if refusal.messages else {}
            errors = {"errors": list(refusal.messages)} if refusal.messages else {}
            raise Refused(refusal.error, **errors, response_metadata=said)
        metadata = asked.get("metadata")
        if metadata is not None:
            whole = isinstance(metadata, Mapping) and {"event_type", "event_payload"} == set(metadata)
            if not whole or not isinstance(metadata["event_payload"], Mapping):
                raise Refused("invalid_metadata_format")

    def _find(self, channel: str, *, by_name: bool = False) -> Channel:
        """By its id; ``by_name``: or by its name, which only posting allows."""
        found = self._channels.get(channel)
        if found is None and by_name and channel:
            name = channel.removeprefix("#")
            found = next((each for each in self._channels.values() if each.name == name), None)
            if found is None and self._open:
                found = self._add(name)
        if found is None:
            raise Refused("channel_not_found")
        return found

    def _named(self, name: str) -> Channel:
        found = next((each for each in self._channels.values() if each.name == name.removeprefix("#")), None)
        return found or Channel("", name)

    def _add(self, name: str) -> Channel:
        plain = name.removeprefix("#")
        made = Channel("C" + hashlib.sha256(plain.encode()).hexdigest()[:10].upper(), plain)
        self._channels[made.id] = made
        return made

    def _next_ts(self) -> str:
        self._last_ts = max(self._last_ts + 1, int(self._clock() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def _tell(self, what: str, channel: Channel, message: Json) -> None:
        for watcher in self.watchers:
            watcher(what, channel.name, dict(message))


_METHODS: dict[str, Callable[[Workspace, Mapping[str, Any]], Json]] = {
    "auth.test": Workspace._auth_test,
    "chat.postMessage": Workspace._post_message,
    "chat.postEphemeral": Workspace._whisper,
    "chat.update": Workspace._update,
    "conversations.history": Workspace._history,
    "conversations.replies": Workspace._replies,
    "conversations.list": Workspace._list,
}


def _is_reply(message: Json) -> bool:
    return bool(message.get("thread_ts", message["ts"]) != message["ts"])


def _content(asked: Mapping[str, Any]) -> Json:
    """Blocks and metadata stay as they are where a call says nothing of them."""
    found: Json = {"text": str(asked.get("text") or "")}
    return found | {name: asked[name] for name in ("blocks", "metadata") if asked.get(name)}


def _shown(message: Json, asked: Mapping[str, Any]) -> Json:
    wanted = str(asked.get("include_all_metadata", "")).lower() in ("1", "true")
    return {name: value for name, value in message.items() if wanted or name != "metadata"}


def _cut(each: list[Json], asked: Mapping[str, Any]) -> tuple[list[Json], str]:
    """One page, and the cursor of the next; empty: there's none."""
    try:
        size = min(max(int(asked.get("limit") or DEFAULT_PAGE), 1), LARGEST_PAGE)
        start = int(asked.get("cursor") or 0)
    except ValueError as error:
        raise Refused("invalid_cursor") from error
    return each[start : start + size], str(start + size) if start + size < len(each) else ""
