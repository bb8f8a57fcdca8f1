"""A decision while it is taken: what has been decided so far, and the run as that leaves it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from turnout.core import events as e
from turnout.core.evolve import evolve
from turnout.core.run import Run


class Decision:
    """The events decided so far, and the run as they leave it."""

    def __init__(self, run: Run, now: datetime, taken: Mapping[str, str], newer: Mapping[str, str]) -> None:
        self.run = run
        self.now = now
        self.taken = taken
        self.newer = newer
        self.events: list[e.Event] = []

    def emit(self, event: e.Event) -> None:
        self.run = evolve(self.run, event)
        self.events.append(event)

    def after(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def ignore(self, message: str, reason: str, *, attempt: str = "", by: str = "", stage: str = "") -> None:
        self.emit(
            e.MessageIgnored(at=self.now, message=message, attempt=attempt, by=by, stage=stage, reason=reason)
        )
