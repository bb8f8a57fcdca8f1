"""The use case of the sweeper: what time, a crash or a lost message left to be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from turnout.core.ports import Clock, Store
from turnout.orchestration import Orchestrator

PRUNE_EVERY = timedelta(minutes=10)


@dataclass
class Sweeper:
    """Safe to call from several processes at once, as often as one likes."""

    orchestrator: Orchestrator
    store: Store
    clock: Clock
    _pruned_at: datetime | None = field(default=None, init=False)

    def sweep(self) -> dict[str, int]:
        """``done``: overdue runs looked at and records published; ``pruned``: old rows removed.

        Raises: TransientError (the store or the broker is away; call again).
        """
        done = self.orchestrator.sweep()
        now = self.clock.now()
        if self._pruned_at is not None and now - self._pruned_at < PRUNE_EVERY:
            return {"done": done, "pruned": 0}
        self._pruned_at = now
        return {"done": done, "pruned": self.store.prune(now)}
