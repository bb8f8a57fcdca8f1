"""Following a run as it happens, by its events alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from turnout.core.ports import StoredEvent

EVERY = 0.05
"""Seconds between two looks, while somebody watches."""


class Recorded(Protocol):
    """A store, or the sight of one behind a console."""

    def events(self, run: str, after: int = 0) -> Sequence[StoredEvent]: ...


def follow(
    store: Recorded, run: str, *, alive: Callable[[], bool], pause: Callable[[float], object] = time.sleep
) -> Iterator[StoredEvent | None]:
    """The run's events from the first one on, until it has finished; None whenever there is nothing new.

    Ends early once ``alive`` says no: nobody is left who could go on with the run.
    """
    seen = 0
    while True:
        living = alive()  # asked first: what is written before its end is still read
        for stored in store.events(run, after=seen):
            seen = stored.version
            yield stored
            if stored.event.kind == "run_finished":
                return
        if not living:
            return
        yield None
        pause(EVERY)
