"""What an answer to a POST means for the record that was posted. Pure: the rules, no transport.

| answer | meaning |
| --- | --- |
| 2xx | done |
| 429, 503 | asked to wait (Retry-After says how long): tried again, for as long as it takes |
| 408, 425, other 5xx, no answer in time | failed: tried again, given up after `Patience.tries` tries |
| no connection | the function is not there now: tried again, for as long as it takes |
| anything else | refused: to the dead letters at once |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from turnout.core.envelope import Received

TOO_EARLY = 425
TIMED_OUT = 408
NOT_ADMITTED = (401, 403)
"""The caller is not known, or may not: no fault of the message, and mended elsewhere."""
TOO_MANY = 429
UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Route:
    """The function at ``url`` is subscribed to ``topic``. ``timeout``: seconds for one answer."""

    topic: str
    url: str
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Answered:
    """``retry_after``: seconds that we were asked to wait. ``text``: the start of the body, for people."""

    status: int
    retry_after: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Sent, but no (whole) answer came: the function may have done its work or not."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Never sent: nothing listens there, the name is unknown, or no credentials could be had."""

    reason: str


Reply = Answered | Unanswered | Unreachable


class Poster(Protocol):
    """Thread-safe. Sends a record as a CloudEvent; a failure is a reply, never an exception."""

    def post(self, route: Route, received: Received) -> Reply: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Delivered:
    """The function has taken the record."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """``counts``: this failure uses up one of the tries. ``after``: seconds asked for, None: our backoff."""

    reason: str
    counts: bool
    after: float | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The record goes to the dead letters. ``status`` is 0 where there was no answer."""

    reason: str
    status: int


Verdict = Delivered | TryAgain | GiveUp


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a record is tried. Times in seconds; ``tries`` counts only failures that count."""

    tries: int = 10
    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0

    def wait(self, tries: int, asked: float | None = None) -> float:
        """Seconds to wait after ``tries`` failed ones; what the function asked for wins, within reason."""
        if asked is not None:
            return min(max(asked, 0.0), 10 * self.longest)
        exponent = min(max(tries - 1, 0), 64)
        return min(self.first * self.factor**exponent, self.longest)


def judge(reply: Reply, counted: int, patience: Patience) -> Verdict:
    """``counted``: failures of this record before this one that counted."""
    match reply:
        case Answered(status=status) if 200 <= status < 300:
            return Delivered()
        case Answered(status=status, retry_after=after) if status in (TOO_MANY, UNAVAILABLE, *NOT_ADMITTED):
            return TryAgain(_said(reply), counts=False, after=after)
        case Answered(status=status, retry_after=after) if status >= 500 or status in (TIMED_OUT, TOO_EARLY):
            return _failed(_said(reply), status, after, counted, patience)
        case Answered(status=status):
            return GiveUp(_said(reply), status)
        case Unanswered(reason=reason):
            return _failed(f"no answer: {reason}", 0, None, counted, patience)
        case Unreachable(reason=reason):
            return TryAgain(f"not reachable: {reason}", counts=False)


def _failed(reason: str, status: int, after: float | None, counted: int, patience: Patience) -> Verdict:
    if counted + 1 >= patience.tries:
        return GiveUp(f"{reason}; given up after {counted + 1} tries", status)
    return TryAgain(reason, counts=True, after=after)


def _said(reply: Answered) -> str:
    return f"answered {reply.status}: {reply.text}" if reply.text else f"answered {reply.status}"
