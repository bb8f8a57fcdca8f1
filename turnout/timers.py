"""Short due times, fired in the process that learnt of them; the sweeper is what makes them certain."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from turnout.core.errors import TurnoutError
from turnout.core.ports import Clock
from turnout.logging import get_logger

SHORT = 120.0
"""Seconds: anything due later is left to the sweeper."""
MANY = 1000

log = get_logger()


@dataclass
class Timers:
    """One timer a run; a newer due time takes the place of the older. ``tick`` looks at a run."""

    tick: Callable[[str], object]
    clock: Clock
    _waiting: dict[str, threading.Timer] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def set(self, run: str, at: datetime) -> None:
        delay = max(0.0, (at - self.clock.now()).total_seconds())
        with self._lock:
            before = self._waiting.pop(run, None)
            if before is not None:
                before.cancel()
            if delay > SHORT or len(self._waiting) >= MANY:
                return
            timer = threading.Timer(delay, self._fire, args=(run,))
            timer.daemon = True
            self._waiting[run] = timer
            timer.start()

    def _fire(self, run: str) -> None:
        with self._lock:
            self._waiting.pop(run, None)
        try:
            self.tick(run)
        except TurnoutError as error:
            log.info("left to the sweeper", run=run, reason=str(error))
