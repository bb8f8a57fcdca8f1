"""The order of a delivery's statuses. The webhook and the orchestrator write the same row, in any order: what the
orchestrator found out is never overwritten by what the webhook knew before it. Pure."""

from __future__ import annotations

from dataclasses import replace

from turnout.core.errors import PermanentError
from turnout.core.ports import Delivery

_BEFORE: dict[str, tuple[str, ...]] = {
    "received": ("received",),
    "published": ("received", "published", "failed"),
    "failed": ("received", "published", "failed"),
    "ignored": ("received", "published", "failed", "ignored", "run"),
    "run": ("received", "published", "failed", "ignored", "run"),
}


def may_follow(status: str) -> tuple[str, ...]:
    """The statuses that a delivery may have for ``status`` to be written over it.

    Raises: PermanentError for a status that there is not.
    """
    found = _BEFORE.get(status)
    if found is None:
        raise PermanentError(f"a delivery's status can't be {status!r}", f"one of {', '.join(_BEFORE)}")
    return found


def merged(known: Delivery, news: Delivery) -> Delivery:
    """What is kept: when and as what it came stays, what became of it changes where it may."""
    if known.status not in may_follow(news.status):
        return known
    return replace(
        known,
        status=news.status,
        run=news.run,
        reason=news.reason,
        message=news.message or known.message,
        sha=news.sha or known.sha,
        why=news.why,
    )
