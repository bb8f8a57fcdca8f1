"""Faults made to order, and the record of the calls they met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RATE_LIMITED = 429


@dataclass(frozen=True, slots=True)
class Call:
    """``at``: seconds since the epoch. ``error``: Slack's code, or ``http_429``, ``dropped`` and the like for a fault;
    empty: it went well."""

    method: str
    arguments: Mapping[str, Any]
    at: float
    error: str


@dataclass(frozen=True, slots=True)
class Answer:
    """``drop``: no answer at all, the connection just ends."""

    body: dict[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False


@dataclass(slots=True)
class Fault:
    """What to do instead of answering the next ``times`` calls of ``method`` (``*``: of any).

    ``status``: that HTTP status, with ``Retry-After: retry_after`` for 429. ``error``: that error of Slack's.
    ``drop``: take the connection down without an answer; ``applied``: after the call has had its effect.
    """

    method: str = "*"
    times: int = 1
    status: int = 0
    retry_after: int = 1
    error: str = ""
    drop: bool = False
    applied: bool = False

    @property
    def name(self) -> str:
        return self.error or ("dropped" if self.drop else f"http_{self.status}")

    def answer(self) -> Answer:
        if self.drop:
            return Answer({}, drop=True)
        if self.status == RATE_LIMITED:
            headers = {"Retry-After": str(self.retry_after)}
            return Answer({"ok": False, "error": "ratelimited"}, RATE_LIMITED, headers)
        if self.status:
            return Answer({"ok": False, "error": "internal_error"}, self.status)
        return Answer({"ok": False, "error": self.error or "fatal_error"})
