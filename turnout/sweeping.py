"""The use case of the sweeper: what time, a crash or a lost message left to be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from turnout.core.errors import PermanentError
from turnout.core.ports import Clock, Store
from turnout.orchestration import Orchestrator

PRUNE_EVERY = timedelta(minutes=10)
RECOVER_EVERY = timedelta(minutes=1)
LOST_TRIGGER_AFTER = timedelta(minutes=2)
LOST_TASK_AFTER = timedelta(minutes=5)
"""How long something on the bus may go unanswered before it is sent again: the topics may have been wiped, and the
store is the truth. Sending again is harmless, since ids stay the same and receivers deduplicate."""


@dataclass
class Sweeper:
    """Safe to call from several processes at once, as often as one likes."""

    orchestrator: Orchestrator
    store: Store
    clock: Clock
    _pruned_at: datetime | None = field(default=None, init=False)
    _recovered_at: datetime | None = field(default=None, init=False)

    def sweep(self) -> dict[str, int]:
        """``done``: overdue runs looked at and records published; ``resent``: records sent again; ``pruned``: old rows
        removed.

        Raises: TransientError (the store or the broker is away; call again); PermanentError when a run can't be
        decided on, after everything else has been done.
        """
        now = self.clock.now()
        counts = {"done": 0, "resent": 0, "pruned": 0}
        broken: PermanentError | None = None
        try:
            counts["done"] = self.orchestrator.sweep()
        except PermanentError as error:
            broken = error
        if self._recovered_at is None or now - self._recovered_at >= RECOVER_EVERY:
            counts["resent"] = self._recover(now)
            self._recovered_at = now
        if self._pruned_at is None or now - self._pruned_at >= PRUNE_EVERY:
            counts["pruned"] = self.store.prune(now)
            self._pruned_at = now
        if broken is not None:
            raise broken
        return counts

    def _recover(self, now: datetime) -> int:
        sent = self.orchestrator.republish(self.store.unanswered(now - LOST_TRIGGER_AFTER))
        waiting = self.store.unfinished_launches(now - LOST_TASK_AFTER)
        return sent + sum(self.orchestrator.resend(run) for run in dict.fromkeys(row.run for row in waiting))
