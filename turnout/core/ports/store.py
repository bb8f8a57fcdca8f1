"""The store: events are the truth, everything else is made from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from turnout.core.attestation import Attestation
from turnout.core.envelope import Record
from turnout.core.environments import NO_TURNS, Turns
from turnout.core.events import Event
from turnout.core.nothing import Nothing
from turnout.core.run import Run


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """``id`` is the order of writing within a store."""

    id: int
    run: str
    record: Record


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request. ``status``: ``received``, ``published``, ``run``, ``ignored`` or ``failed``.

    ``reason`` says why nothing ran, ``why`` by which rule; None: a run came of it, or that is not known. ``message``:
    id of the envelope it became. ``sha``: the commit that it is about, empty: it names none.
    """

    id: str
    source: str
    event: str
    repository: str
    status: str
    received_at: datetime
    run: str = ""
    reason: str = ""
    message: str = ""
    sha: str = ""
    why: Nothing | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    run: str
    version: int
    at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class RunRow:
    """The projection that lists are made from. ``status``: ``queued``, ``running``, ``cancelling`` or ``finished``."""

    id: str
    project: str
    repository: str
    branch: str
    sha: str
    title: str
    author: str
    kind: str
    status: str
    outcome: str
    created_at: datetime
    finished_at: datetime | None
    group: str
    version: int
    number: int


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list shows; empty: any. ``person``: the change's author, as a row's ``author`` says."""

    project: str = ""
    branch: str = ""
    outcome: str = ""
    status: str = ""
    person: str = ""

    def takes(self, row: RunRow) -> bool:
        return (
            self.project in ("", row.project)
            and self.branch in ("", row.branch)
            and self.outcome in ("", row.outcome)
            and self.status in ("", row.status)
            and self.person in ("", row.author)
        )


ANY_RUN = RunFilter()


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """What the sweeper needs to know of an attempt that has not finished. ``lease_until``: lost after this."""

    id: str
    run: str
    task: str
    agent: str
    number: int
    status: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class ReportRow:
    """The idempotency record of one outward effect: ``(run, channel, fact)`` is unique.

    ``status``: ``sending`` (reserved; a crash may have happened after the effect), ``sent``, ``failed`` (this try ended
    with an error) or ``skipped`` (there was nothing to tell; the reference says why).
    ``reference``: what finds the effect again (Slack's channel and ts, an e-mail's Message-ID).
    """

    run: str
    channel: str
    fact: str
    status: str
    reference: str
    version: int
    at: datetime


@dataclass(frozen=True, slots=True)
class EnvironmentRow:
    """Who deploys to an environment. ``holder``: a run, empty: none. ``waiting``: runs and when they were created, the
    oldest first. ``deployed``: the run whose deploy is there, empty: not known."""

    holder: str = ""
    waiting: tuple[tuple[str, datetime], ...] = ()
    deployed: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """What one handled message changes, all of it in one transaction.

    ``expected``: the run's version that was decided on (0: the run does not exist yet). ``run``: the state after
    ``events``. ``due_at``: when the run must be looked at again, None: only when a message comes.
    ``leases``: attempt id to the end of its lease, for those launched or heard of now.
    ``inbox``: the envelope id that was handled, empty: none (a timer). ``turns``: environments that the
    run takes, gives back, waits for. ``deployed``: the runs whose deploys were in those environments when this was
    decided; where there is none, none was.
    """

    run: Run | None
    expected: int
    events: tuple[Event, ...]
    records: tuple[Record, ...]
    at: datetime
    inbox: str = ""
    due_at: datetime | None = None
    leases: Mapping[str, datetime] = field(default_factory=dict)
    delivery: Delivery | None = None
    turns: Turns = NO_TURNS
    deployed: Mapping[str, str] = field(default_factory=dict)
    attestations: tuple[Attestation, ...] = ()


class Store(Protocol):
    """Thread-safe. Every method is one transaction."""

    # orchestration
    def seen(self, message: str) -> bool:
        """Whether the inbox holds this envelope id."""
        ...

    def load(self, run: str) -> Run | None: ...

    def commit(self, change: Commit) -> Sequence[OutboxRow]:
        """Write all of ``change`` or nothing; the rows still to be published (none where the outbox is the log).

        Raises: Conflict when the run is not at ``expected``, or another has an environment that it takes; Duplicate
        when the inbox holds the message already.
        """
        ...

    def unpublished(
        self, run: str = "", limit: int = 500, older_than: datetime | None = None
    ) -> Sequence[OutboxRow]:
        """Rows not marked published, in order; of one run, or of all."""
        ...

    def mark_published(self, rows: Sequence[int], at: datetime) -> None: ...

    def heartbeat(self, attempt: str, at: datetime, lease_until: datetime) -> None:
        """Extend the lease of an attempt that is running; anything else is left as it is."""
        ...

    def last_heard(self, attempts: Collection[str]) -> Mapping[str, datetime]:
        """The end of the lease of each attempt that has one."""
        ...

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        """Runs with a due time, or an unfinished attempt whose lease has ended, at or before ``now``."""
        ...

    def next_due(self) -> datetime | None: ...

    def group_runs(self, project: str, group: str) -> Sequence[RunRow]:
        """The runs of a concurrency group that have not finished, oldest first."""
        ...

    def environments(self, project: str, names: Collection[str]) -> Mapping[str, EnvironmentRow]:
        """Who holds these environments of the project, waits for them, or has deployed there; those of nobody are left
        out."""
        ...

    def previous_outcome(self, project: str, branch: str, before: str) -> str:
        """The outcome of the newest finished run on the branch that was created before run ``before``; empty: none."""
        ...

    def unfinished_launches(self, before: datetime, limit: int = 500) -> Sequence[AttemptRow]:
        """Attempts launched before then that have not started, oldest first: their task may be lost."""
        ...

    def open_attempts(self, after: tuple[str, str] = ("", ""), limit: int = 100) -> Sequence[AttemptRow]:
        """Attempts that have not finished, by run and id, from the first after (run, attempt) on."""
        ...

    def unanswered(self, before: datetime, limit: int = 500) -> Sequence[OutboxRow]:
        """Triggers published before then that nobody has handled: they may have been lost on the way."""
        ...

    # reading
    def events(self, run: str, after: int = 0) -> Sequence[StoredEvent]: ...

    def runs(self, wanted: RunFilter = ANY_RUN, *, limit: int = 50, before: str = "") -> Sequence[RunRow]:
        """Newest first. ``before`` is the id of the run to go on after: new ones move no page."""
        ...

    def find_runs(self, prefix: str) -> Sequence[RunRow]:
        """Runs whose id begins so (``latest``: the newest), at most 10."""
        ...

    def attempts(self, run: str) -> Sequence[AttemptRow]: ...

    def run_of(self, attempt: str) -> str:
        """The run that an attempt belongs to, also after it has ended; empty: there is no such attempt."""
        ...

    # attestations
    def attestations(self, run: str) -> Sequence[Attestation]:
        """Of the results of a run, in the order in which they came."""
        ...

    def attestations_of(self, image: str, *, gave: bool, limit: int = 100) -> Sequence[Attestation]:
        """Newest first; ``image``: ``sha256:…``. ``gave``: of stages that gave it; else of those that were given it."""
        ...

    # the webhook's ledger
    def receive(self, delivery: Delivery) -> Delivery:
        """Insert, or return what is there already for ``(source, id)``."""
        ...

    def update_delivery(self, delivery: Delivery) -> None: ...

    def deliveries(self, *, limit: int = 50, repository: str = "") -> Sequence[Delivery]: ...

    # reports
    def reserve_report(self, report: ReportRow) -> ReportRow | None:
        """None: reserved now, go on. Otherwise the record that is there already."""
        ...

    def record_report(self, report: ReportRow) -> None:
        """Insert or replace by ``(run, channel, fact)``."""
        ...

    def settle_reports(self, reports: Sequence[ReportRow]) -> None:
        """Like `record_report` for each, except where the fact is ``sent`` or ``skipped`` already at that version."""
        ...

    def find_report(self, run: str, channel: str, fact: str) -> ReportRow | None: ...

    # housekeeping
    def prune(self, now: datetime) -> int:
        """Forget inbox ids and published records older than their retention; the number of rows removed."""
        ...

    def close(self) -> None: ...
