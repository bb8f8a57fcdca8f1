"""How much a job may send, at once and in a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from turnout.core.allowance import Allowance
from turnout.core.ports import Clock
from turnout.gateway.refusals import TooMuch

REMEMBERED = 4096  # attempts whose allowances one process remembers
BURST = 4.0  # seconds' worth
MAX_CHUNK = 64 * 1024
"""Bytes of one log chunk."""
MAX_BASELINE = 16 * 1024 * 1024
"""Bytes of a report that findings are compared with."""
MAX_RESULT = 900_000
"""Bytes of one result as JSON; with its envelope it must fit into a record of the bus."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, or so many a second; a burst is four seconds' worth. ``requests``: a second, of one attempt."""

    log: int = 64_000_000
    log_rate: float = 4_000_000
    artifact: int = 200_000_000
    artifacts: int = 1_000_000_000
    artifact_count: int = 2000
    requests: float = 100


class Rates:
    """What each attempt may still do now. Each process counts for itself. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._allowed: OrderedDict[tuple[str, str], Allowance] = OrderedDict()
        self._guard = threading.Lock()

    def take(self, attempt: str, what: str, amount: float, rate: float) -> None:
        """Raises: TooMuch."""
        now = self._clock.now().timestamp()
        with self._guard:
            known = self._allowed.pop((attempt, what), None) or Allowance.full(rate, BURST * rate, now)
            after, wait = known.take(amount, now)
            self._allowed[(attempt, what)] = after
            while len(self._allowed) > REMEMBERED:
                self._allowed.popitem(last=False)
        if wait:
            raise TooMuch(f"too many {what} in a short time", "wait as long as asked", retry_after=wait)
