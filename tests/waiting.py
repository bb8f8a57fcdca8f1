"""Waiting for what another thread or process does: for a condition, with a deadline, never for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def wait_until(
    predicate: Callable[[], Seen], timeout: float = 10, message: str = "the condition", *, poll: float = 0.01
) -> Seen:
    """Ask ``predicate`` until its answer is true, and give that answer. Times are in seconds.

    Raises: AssertionError after ``timeout``, with ``message`` and the last answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        seen = predicate()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{message}: still {seen!r} after {timeout:g} s")
        time.sleep(poll)
