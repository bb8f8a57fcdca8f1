"""The record of what people were told: each outward effect is reserved, done, recorded; and done once.

An effect is named by a fact. Its rows in the reports table are its tries: ``card``, ``card~2``, ``card~3``, …

| status | meaning |
| --- | --- |
| `sending` | reserved; the effect may have happened. With a reference: it has, and is being brought up to date |
| `sent` | done; the reference finds it again |
| `failed` | this try has ended without an answer that says it was done |
| `skipped` | looked at, nothing was to be done; the reference says why |

A change of what is there (``change:<fact>``, ``change:<fact>~2`` of a second telling of the same fact, …) is announced
before and ended after, so that a fact whose telling broke off is told again even where another one has overtaken and
settled it, and a fact that two are telling is not settled before both have come to their end. The last fact of a run
is not settled before the tellings of all its facts have: nobody comes after it who would put right what they show.

A reservation is an insert that only one of several processes gets. A row in the way that is `sending` belongs to
somebody who is at it right now, or who died: within `LEASE` we come back later, after it we take over with the
next try. Whoever makes a try that isn't the first looks for the effect of the earlier ones before doing it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol

from turnout.core.errors import PermanentError, TransientError
from turnout.core.ports import Clock, ReportRow, RunFilter, RunRow, StoredEvent
from turnout.core.run import Run

SENDING, SENT, FAILED, SKIPPED = "sending", "sent", "failed", "skipped"

LEASE = timedelta(seconds=30)
"""Longer than one effect takes with all its time limits (`turnout.adapters.slack`, `turnout.adapters.smtp`)."""
MAX_TRIES = 200


class Reports(Protocol):
    """What reporting needs of the store (`turnout.core.ports.Store`)."""

    def load(self, run: str) -> Run | None: ...

    def previous_outcome(self, project: str, branch: str, before: str) -> str: ...

    def runs(self, wanted: RunFilter, *, limit: int = 50, before: str = "") -> Sequence[RunRow]: ...

    def reserve_report(self, report: ReportRow) -> ReportRow | None: ...

    def record_report(self, report: ReportRow) -> None: ...

    def settle_reports(self, reports: Sequence[ReportRow]) -> None: ...

    def events(self, run: str, after: int = 0) -> Sequence[StoredEvent]: ...

    def find_report(self, run: str, channel: str, fact: str) -> ReportRow | None: ...


@dataclass(slots=True)
class Change:
    """One telling's change of what people see. Several may be at the same fact: the same message came twice.

    A context manager: what ends with an error is known not to go on.
    """

    ledger: Ledger
    name: str = ""
    ended: bool = False

    def __enter__(self) -> Change:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and self.name and not self.ended:
            self.ledger.record(self.name, FAILED, "", 0)

    def begin(self) -> None:
        """Before each effect; from now on it is `Ledger.unfinished` until `end`."""
        if self.name:
            self.ledger.record(self.name, SENDING, "", 0)
        else:
            self.name = self.ledger.reserve()

    def end(self) -> None:
        """People see the newest state, as far as this telling goes.

        Raises: TransientError while another one is under way, whose effect may yet come last.
        """
        now = self.ledger.clock.now()
        if self.name:
            self.ledger.record(self.name, SENT, "", 0)
        self.ended, left = True, timedelta(0)
        for row in self.ledger.changes():
            if row.status == SENT or row.fact == self.name:
                continue
            rest = self.ledger.lease - (now - row.at) if row.status == SENDING else timedelta(0)
            if rest > timedelta(0):
                left = max(left, rest)
            else:  # who began it has died, or has said that it failed
                self.ledger.record(row.fact, SENT, "", 0)
        if left > timedelta(0):
            raise TransientError(
                f"{self.ledger.channel}: {self.ledger.fact} of run {self.ledger.run} is being told by another process",
                "or one that died; it is taken over when its time is up",
                retry_after=max(left.total_seconds(), 1.0),
            )


@dataclass(frozen=True, slots=True)
class Ledger:
    """The effects of one channel for one run. ``fact``: what is being told, in whose name changes are announced.
    ``others``: facts that must have been told, too, before this one is."""

    reports: Reports
    clock: Clock
    run: str
    channel: str
    fact: str = ""
    lease: timedelta = LEASE
    others: tuple[str, ...] = ()

    def once(
        self,
        fact: str,
        version: int,
        do: Callable[[], str],
        find: Callable[[datetime], str | None] | None = None,
    ) -> str:
        """The reference of the effect: of an earlier try, of one that ``find`` has found, or of ``do``.

        ``find`` is given the time of the first try; None: the effect can't be looked for, and is done again.

        Raises: TransientError while somebody else is at it; whatever ``do`` and ``find`` raise.
        """
        first: datetime | None = None
        for name in self._tries(fact):
            row = self._row(name, SENDING, "", version)
            there = self.reports.reserve_report(row)
            if there is None:
                return self._try(fact, row, first, do, find)
            if there.reference:
                return there.reference
            self._refuse_if_busy(there)
            first = first or there.at
        raise PermanentError(f"{self.channel}: {fact} of run {self.run} was tried {MAX_TRIES} times")

    def _try(
        self,
        fact: str,
        row: ReportRow,
        first: datetime | None,
        do: Callable[[], str],
        find: Callable[[datetime], str | None] | None,
    ) -> str:
        try:
            found = find(first) if first and find else None
            reference = found or do()
        except Exception:
            # Not known to have happened. The next try may start at once, and looks for it first.
            self.reports.record_report(replace(row, status=FAILED))
            raise
        done = replace(row, status=SENT, reference=reference, version=0 if found else row.version)
        self.reports.record_report(done)
        if row.fact != fact:
            self.reports.record_report(replace(done, fact=fact))
        return reference

    def _refuse_if_busy(self, there: ReportRow) -> None:
        age = self.clock.now() - there.at
        if there.status == SENDING and age < self.lease:
            left = (self.lease - age).total_seconds()
            raise TransientError(
                f"{self.channel}: {there.fact} of run {self.run} is being sent by another process",
                "or one that died; it is taken over when its time is up",
                retry_after=max(left, 1.0),
            )

    def begun(self, fact: str) -> bool:
        """Whether the effect is there, or may be."""
        rows = (self.reports.find_report(self.run, self.channel, name) for name in self._tries(fact))
        for row in rows:
            if row is None:
                return False
            if row.reference or row.status == SENDING:
                return True
        return False

    def first_try(self, fact: str) -> datetime | None:
        """When the effect was tried first, whatever came of it; None: never. A try that failed may have had it."""
        row = self.find(fact)
        return None if row is None else row.at

    def change(self) -> Change:
        """For what people see and is about to be changed in the name of `fact`."""
        return Change(self)

    def unfinished(self) -> bool:
        """Whether a change in the name of `fact`, or of one of `others`, did not come to its end: nobody knows what
        people see."""
        return any(row.status != SENT for row in self.changes())

    def changes(self) -> Iterator[ReportRow]:
        """Those that were begun in the name of `fact`, or of one of `others`."""
        for fact in (self.fact, *self.others):
            for name in self._tries(f"change:{fact}"):
                row = self.find(name)
                if row is None:
                    break
                yield row

    def reserve(self) -> str:
        """The name of a change of one's own."""
        for name in self._tries(f"change:{self.fact}"):
            if self.reports.reserve_report(self._row(name, SENDING, "", 0)) is None:
                return name
        raise PermanentError(f"{self.channel}: {self.fact} of run {self.run} was told {MAX_TRIES} times")

    def forget(self, fact: str) -> None:
        """The effect has been undone by somebody: it may be done anew."""
        for name in self._tries(fact):
            row = self.reports.find_report(self.run, self.channel, name)
            if row is None:
                return
            if row.reference:
                self.reports.record_report(replace(row, status=FAILED, reference=""))

    def find(self, fact: str) -> ReportRow | None:
        return self.reports.find_report(self.run, self.channel, fact)

    def record(self, fact: str, status: str, reference: str, version: int) -> None:
        self.reports.record_report(self._row(fact, status, reference, version))

    def note_failure(self, fact: str, reason: str, version: int) -> None:
        """Only where nothing is known of the fact: another delivery of it may have done better in the meantime."""
        self.reports.reserve_report(self._row(fact, FAILED, reason, version))

    def settle(self, facts: Mapping[str, int], status: str, reference: str) -> None:
        """``facts``: each with its version. Those that were told before keep what was said of them."""
        self.reports.settle_reports(
            [self._row(fact, status, reference, version) for fact, version in facts.items()]
        )

    def _row(self, fact: str, status: str, reference: str, version: int) -> ReportRow:
        return ReportRow(self.run, self.channel, fact, status, reference, version, self.clock.now())

    @staticmethod
    def _tries(fact: str) -> Iterator[str]:
        yield fact
        yield from (f"{fact}~{number}" for number in range(2, MAX_TRIES + 1))
