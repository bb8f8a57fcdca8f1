"""Changes as they were recorded, to try another pipeline file on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from turnout.core.change import Change


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """``run``: what it became, empty: nothing. ``delivery``: what brought it, empty: nobody knows. ``reason``: why
    nothing ran."""

    at: datetime
    change: Change
    run: str = ""
    delivery: str = ""
    reason: str = ""


class RecordedChanges(Protocol):
    def newest(self, project: str, limit: int) -> Sequence[RecordedChange]:
        """Newest first, each change once: not again for its reruns.

        Also those of deliveries that made no run, as long as their message is kept. Reads at most `WINDOW` times
        ``limit`` rows, so that there may be fewer.
        """
        ...


WINDOW = 4


@dataclass(frozen=True, slots=True)
class Unknown:
    """The same changes, without the files that changed."""

    recorded: RecordedChanges

    def newest(self, project: str, limit: int) -> Sequence[RecordedChange]:
        found = self.recorded.newest(project, limit)
        return [replace(each, change=each.change.with_(paths=None)) for each in found]
