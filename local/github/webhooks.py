"""One webhook as GitHub keeps it: each event is sent once, what was answered is listed, and sent again when asked for.

Source: https://docs.github.com/en/webhooks (delivery headers, "Handling failed webhook deliveries")
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from turnout.webhook import sign

Json = dict[str, Any]
TIMEOUT = 10.0
"""Seconds that GitHub waits for an answer."""


@dataclass(frozen=True)
class Fate:
    """What becomes of a try at a delivery. ``code``: what GitHub notes instead of sending it (502: no connection).

    ``twice``: the same request is sent a second time. ``lag``: seconds that it is held back.
    """

    code: int = 0
    twice: bool = False
    lag: float = 0.0


SENT = Fate()


def always(_guid: str, _again: bool) -> Fate:
    return SENT


class Webhook:
    """``fate`` is asked for each try: by the delivery's guid, and whether it was asked for again. Thread-safe.

    ``number``: of the repository's webhook; of an App's it means nothing.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        number: int = 1,
        fate: Callable[[str, bool], Fate] = always,
        at_once: int = 8,
    ) -> None:
        self.url, self.number, self.fate = url, number, fate
        self._secret = secret.encode()
        self._sent: dict[str, tuple[str, bytes]] = {}
        self._tries: list[Json] = []
        self._waiting: list[Future[None]] = []
        self._lock = threading.Lock()
        self._client = httpx.Client(timeout=TIMEOUT)
        self._senders = ThreadPoolExecutor(at_once)

    def send(self, event: str, payload: Mapping[str, Any]) -> str:
        """Soon. The delivery's guid."""
        guid = str(uuid.uuid4())
        with self._lock:
            self._sent[guid] = event, json.dumps(payload).encode()
        self._begin(guid, again=False)
        return guid

    def again(self, number: int) -> bool:
        """False: there is no such try."""
        with self._lock:
            guid = next((each["guid"] for each in self._tries if each["id"] == number), None)
        if guid is not None:
            self._begin(guid, again=True)
        return guid is not None

    def page(self, size: int, cursor: str = "") -> tuple[list[Json], str]:
        """Tries from the one that ``cursor`` names on, the newest first; and the cursor of those after them."""
        with self._lock:
            newest = [each for each in reversed(self._tries) if not cursor or each["id"] <= int(cursor)]
        return newest[:size], str(newest[size]["id"]) if len(newest) > size else ""

    def described(self) -> Json:
        config = {"url": self.url, "content_type": "json", "insecure_ssl": "0", "secret": "********"}
        return {"type": "Repository", "id": self.number, "name": "web", "active": True, "config": config}

    @property
    def guids(self) -> set[str]:
        with self._lock:
            return set(self._sent)

    def tries(self, guid: str = "") -> list[Json]:
        with self._lock:
            return [each for each in self._tries if guid in ("", each["guid"])]

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way."""
        with self._lock:
            self._waiting = [each for each in self._waiting if not each.done()]
            return not self._waiting

    def close(self) -> None:
        self._senders.shutdown(cancel_futures=True)
        self._client.close()

    def _begin(self, guid: str, *, again: bool) -> None:
        future = self._senders.submit(self._try, guid, again)
        with self._lock:
            self._waiting.append(future)

    def _try(self, guid: str, again: bool) -> None:
        fate = self.fate(guid, again)
        if fate.lag:
            time.sleep(fate.lag)
        self._note(guid, again, *self._answered(guid, fate))
        if fate.twice:
            self._note(guid, True, *self._answered(guid, SENT))

    def _answered(self, guid: str, fate: Fate) -> tuple[int, str, float]:
        began = time.monotonic()
        if fate.code:
            return fate.code, _said(fate.code), 0.0
        event, body = self._sent[guid]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/stand-in",
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": guid,
            "X-GitHub-Hook-ID": str(self.number),
            "X-Hub-Signature-256": sign(self._secret, body),
        }
        try:
            code = self._client.post(self.url, content=body, headers=headers).status_code
        except httpx.TimeoutException:
            return 504, "timed out", time.monotonic() - began
        except httpx.HTTPError:
            return 502, _said(502), time.monotonic() - began
        return code, _said(code), time.monotonic() - began

    def _note(self, guid: str, again: bool, code: int, said: str, took: float) -> None:
        event, body = self._sent[guid]
        with self._lock:
            self._tries.append(
                {
                    "id": 9_000_000_001 + len(self._tries),
                    "guid": guid,
                    "delivered_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                    "redelivery": again,
                    "duration": round(took, 2),
                    "status": said,
                    "status_code": code,
                    "event": event,
                    "action": json.loads(body).get("action"),
                    "installation_id": None,
                    "repository_id": None,
                    "throttled_at": None,
                }
            )


def _said(code: int) -> str:
    if 200 <= code < 300:
        return "OK"
    return "failed to connect to host" if code == 502 else f"Invalid HTTP Response: {code}"
