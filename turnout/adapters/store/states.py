"""The states of runs that this process has last stored or read, so that they need not be parsed again.

A state is known by its run and version: whoever takes one from here asks the database first whether there is a newer.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from turnout.core.run import Run

MOST = 256


class States:
    """Thread-safe; the least recently used go first. A fork keeps what was there, which is still true."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[str, Run] = OrderedDict()
        self._lock = Lock()

    def find(self, run: str) -> Run | None:
        return self._kept.get(run)

    def keep(self, state: Run) -> None:
        """Unless a newer one is here."""
        with self._lock:
            before = self._kept.get(state.id)
            if before is None or before.version <= state.version:
                self._kept[state.id] = state
            self._kept.move_to_end(state.id)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
