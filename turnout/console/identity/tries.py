"""How often somebody may fail to show who they are."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MOST = 10
WITHIN = 60.0
"""Seconds."""
REMEMBERED = 10_000


class FailedTries:
    """By address, in this process. What is guarded can't be guessed; this keeps the guessing from costing anything."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, address: str) -> float:
        """Seconds until the next try is listened to; 0: now."""
        with self._lock:
            times = self._failed.get(address)
            if times is None or len(times) < MOST:
                return 0.0
            return max(0.0, times[0] + WITHIN - self._clock())

    def failed(self, address: str) -> None:
        with self._lock:
            times = self._failed.setdefault(address, deque(maxlen=MOST))
            times.append(self._clock())
            self._failed.move_to_end(address)
            while len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)
