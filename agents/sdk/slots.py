"""How many attempts run at once in one worker, shared fairly between its agents."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol


class Waiter(Protocol):
    def wake(self) -> None:
        """A slot is kept for you. From any thread; must not block."""
        ...


class Slots:
    """Thread-safe. Whoever found none free is given the next one, in the order of asking."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._lock = threading.Lock()
        self._waiting: deque[Waiter] = deque()
        self._kept: list[Waiter] = []

    def take(self, waiter: Waiter) -> bool:
        with self._lock:
            if waiter in self._kept:
                self._kept.remove(waiter)
                return True
            if self._free > 0:
                self._free -= 1
                return True
            if waiter not in self._waiting:
                self._waiting.append(waiter)
            return False

    def give(self) -> None:
        with self._lock:
            waiter = self._next()
        if waiter is not None:
            waiter.wake()

    def leave(self, waiter: Waiter) -> None:
        """It has nothing left to start: what was kept for it goes to the next."""
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if waiter not in self._kept:
                return
            self._kept.remove(waiter)
            other = self._next()
        if other is not None:
            other.wake()

    def _next(self) -> Waiter | None:
        if self._waiting:
            waiter = self._waiting.popleft()
            self._kept.append(waiter)
            return waiter
        self._free += 1
        return None
