"""Launches in one process: the same answers as the database's, with nothing that outlives the process."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from threading import Lock

from turnout.core.errors import NotFound
from turnout.core.ports import Launch


class MemoryLaunches:
    def __init__(self) -> None:
        self._known: dict[str, Launch] = {}
        self._lock = Lock()

    def reserve(self, attempt: str, runtime: str, now: datetime, until: datetime) -> Launch:
        with self._lock:
            known = self._known.get(attempt)
            if known is None:
                made = Launch(attempt, runtime, "", 1, until, now)
            elif not known.handle and known.until <= now:
                made = replace(known, runtime=runtime, turn=known.turn + 1, until=until)
            else:
                return known
            self._known[attempt] = made
            return replace(made, mine=True)

    def record(self, attempt: str, handle: str) -> str:
        with self._lock:
            known = self._known.get(attempt)
            if known is None:
                raise NotFound(f"the launch of attempt {attempt} was never reserved, or long ago")
            if not known.handle:
                self._known[attempt] = known = replace(known, handle=handle)
            return known.handle

    def release(self, attempt: str, turn: int) -> None:
        with self._lock:
            known = self._known.get(attempt)
            if known is not None and known.turn == turn and not known.handle:
                del self._known[attempt]

    def find(self, attempt: str) -> Launch | None:
        with self._lock:
            return self._known.get(attempt)
