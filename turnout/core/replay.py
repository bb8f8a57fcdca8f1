"""A run as it was: its recorded events folded by the production `evolve`, up to any one of them."""

from __future__ import annotations

from collections.abc import Sequence

from turnout.core import events as e
from turnout.core.errors import NotFound
from turnout.core.evolve import replay
from turnout.core.run import Run


def rebuild(events: Sequence[e.Event], at: int | None = None) -> Run:
    """The run after its first ``at`` events; None: after all. The first event has the number 1.

    Raises: NotFound for a number that it does not have, or no events at all; IllegalTransition for events that never
    were one run's.
    """
    version = len(events) if at is None else at
    if not 1 <= version <= len(events):
        hint = f"it has the events 1 to {len(events)}" if events else "nothing is recorded"
        raise NotFound(f"the run has no event {version}", hint)
    run = replay(events[:version])
    assert run is not None
    return run
