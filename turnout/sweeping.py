"""The use case of the sweeper: what time, a crash or a lost message left to be done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from turnout.auditing import Auditing
from turnout.core.errors import Newer, PermanentError, TransientError
from turnout.core.outgoing import FINISHED
from turnout.core.ports import Clock, RunFilter, Store
from turnout.figuring import Figuring
from turnout.hearing import Hearing
from turnout.orchestration import Orchestrator
from turnout.reconciling import Reconciler
from turnout.redelivering import Redelivering
from turnout.scheduling import Scheduling

PRUNE_EVERY = timedelta(minutes=10)
RECOVER_EVERY = timedelta(minutes=1)
AUDIT_EVERY = timedelta(minutes=1)
LOST_TRIGGER_AFTER = timedelta(minutes=2)
LOST_TASK_AFTER = timedelta(minutes=5)
LOST_REPORT_AFTER = timedelta(minutes=10)
"""How long something on the bus may go unanswered before it is sent again: the topics may have been wiped, and the
store is the truth. Sending again is harmless, since ids stay the same and receivers deduplicate."""


LOOKED_BACK = 500
"""Runs: the end of older ones is not told any more."""


@dataclass
class Sweeper:
    """Safe to call from several processes at once, as often as one likes. Nobody else takes an attempt for lost.

    ``channels``: where people are told. ``hearing``: whether agents can be heard; None: always. ``reconciler``: asks
    the runtimes of launched jobs; None: there are none. ``redelivering``: asks GitHub for what it could not deliver;
    None: nobody said who we are to it. ``scheduling``: asks for the runs that time wants. ``auditing``: keeps the
    ledger's figures; ``figuring``: counts runs that have ended; None: nobody wants them.
    """

    orchestrator: Orchestrator
    store: Store
    clock: Clock
    channels: Sequence[str] = ("slack", "email", "github")
    hearing: Hearing | None = None
    reconciler: Reconciler | None = None
    redelivering: Redelivering | None = None
    scheduling: Scheduling | None = None
    auditing: Auditing | None = None
    figuring: Figuring | None = None
    _look_again: dict[str, datetime] = field(default_factory=dict, init=False)
    _pruned_at: datetime | None = field(default=None, init=False)
    _recovered_at: datetime | None = field(default=None, init=False)
    _looked_at: datetime | None = field(default=None, init=False)
    _audited_at: datetime | None = field(default=None, init=False)

    def sweep(self) -> dict[str, int]:
        """``done``: overdue runs looked at and records published; ``resent``: records sent again; ``pruned``: old rows
        removed; ``redelivered``: deliveries that GitHub was asked for again; ``scheduled``: runs that time asked for;
        ``counted``: runs that have ended since.

        Raises: TransientError (the store or the broker is away; call again); PermanentError, or Newer, when a run can't
        be decided on, after everything else has been done.
        """
        now = self.clock.now()
        counts = {"done": 0, "resent": 0, "pruned": 0, "redelivered": 0, "scheduled": 0, "counted": 0}
        broken: PermanentError | Newer | None = None
        try:
            heard = self.hearing is None or self.hearing.good()
            try:
                counts["done"] = self.orchestrator.sweep(heard=heard)
            except (PermanentError, Newer) as error:
                broken = error
            if heard and self.reconciler is not None:
                counts["done"] += self.reconciler.look()
        except PermanentError as error:
            broken = broken or error
        except TransientError as error:
            if self.hearing is not None:
                self.hearing.lost(str(error))
            raise
        if self._recovered_at is None or now - self._recovered_at >= RECOVER_EVERY:
            counts["resent"] = self._recover(now)
            self._recovered_at = now
        if self._pruned_at is None or now - self._pruned_at >= PRUNE_EVERY:
            counts["pruned"] = self.store.prune(now)
            self._pruned_at = now
        counts["redelivered"] = self._look_at_github(now)
        if self.scheduling is not None:
            counts["scheduled"] = self.scheduling.fire()
        if self.auditing is not None and (self._audited_at is None or now - self._audited_at >= AUDIT_EVERY):
            self.auditing.keep()
            self._audited_at = now
        if self.figuring is not None:
            counts["counted"] = self.figuring.catch_up()
        if broken is not None:
            raise broken
        return counts

    def _look_at_github(self, now: datetime) -> int:
        """That it is away is no failure of ours: the ledger notes it."""
        if self.redelivering is None:
            return 0
        if self._looked_at is not None and now - self._looked_at < self.redelivering.every:
            return 0
        self._looked_at = now
        return self.redelivering.look()

    def _recover(self, now: datetime) -> int:
        sent = self.orchestrator.republish(self.store.unanswered(now - LOST_TRIGGER_AFTER))
        waiting = self.store.unfinished_launches(now - LOST_TASK_AFTER)
        sent += sum(self.orchestrator.resend(run) for run in dict.fromkeys(row.run for row in waiting))
        return sent + sum(self.orchestrator.retell(run) for run in self._untold(now))

    def _untold(self, now: datetime) -> Iterator[str]:
        """Of the newest runs, those that ended a while ago and of whose end some channel does not know, not even that
        it failed for good.

        What is known of a run is remembered: one that was told is looked up once, any other once in a while.
        """
        rows = self.store.runs(RunFilter(status="finished"), limit=LOOKED_BACK)
        self._look_again = {row.id: self._look_again[row.id] for row in rows if row.id in self._look_again}
        for row in rows:
            due = self._look_again.get(row.id, (row.finished_at or now) + LOST_REPORT_AFTER)
            if due > now:
                continue
            if all(self.store.find_report(row.id, channel, FINISHED) for channel in self.channels):
                self._look_again[row.id] = datetime.max.replace(tzinfo=UTC)
            else:
                self._look_again[row.id] = now + LOST_REPORT_AFTER
                yield row.id
