"""The store: each method one transaction, the statements in the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from turnout.adapters.store import (
    attempts,
    attestations,
    changes,
    deliveries,
    environments,
    outbox,
    pruning,
    reports,
    runs,
)
from turnout.adapters.store.database import Database, Synchronous
from turnout.adapters.store.instants import micros, micros_or_none
from turnout.adapters.store.outbox import LogWriter
from turnout.adapters.store.states import States
from turnout.core.attestation import Attestation
from turnout.core.ports import (
    AttemptRow,
    Commit,
    Delivery,
    EnvironmentRow,
    OutboxRow,
    ReportRow,
    RunFilter,
    RunRow,
    StoredEvent,
)
from turnout.core.ports.store import ANY_RUN
from turnout.core.run import Run
from turnout.core.topics import TOPICS, Topic


def open_store(
    url: str,
    *,
    embedded: bool,
    synchronous: Synchronous = "FULL",
    busy_timeout: float = 10.0,
    topics: Sequence[Topic] = TOPICS,
    password: Callable[[], str] | None = None,
) -> SqlStore:
    """A store over a database that `turnout.adapters.store.schema.migrate` has made.

    ``embedded``: the outbox is the log, and what is committed is at once on the bus; otherwise rows wait for a
    producer. ``topics``: of that log. ``password``: as in `Database`. Nothing is opened before the first use, so it may
    be called before a fork.
    Raises: PermanentError for a URL of another kind.
    """
    database = Database(url, synchronous=synchronous, busy_timeout=busy_timeout, password=password)
    if not embedded:
        return SqlStore(database, None)
    from turnout.adapters.embedded_log.log import EmbeddedLog

    return SqlStore(database, EmbeddedLog(database, topics))


class SqlStore:
    """``log``: where the records of a change go within its transaction; None: they wait in the outbox.

    Every method raises TransientError when the database is away, locked or full.
    """

    def __init__(self, database: Database, log: LogWriter | None) -> None:
        self.database = database
        self.log = log
        self._states = States()

    # --- orchestration --------------------------------------------------------------------------

    def seen(self, message: str) -> bool:
        with self.database.look() as link:
            return runs.seen(link, message)

    def load(self, run: str) -> Run | None:
        known = self._states.find(run)
        with self.database.look() as link:
            found = runs.load(link, run, known)
        if found is not None and found is not known:
            self._states.keep(found)
        return found

    def commit(self, change: Commit) -> Sequence[OutboxRow]:
        with self.database.change() as link:
            pending = changes.write(link, change, self.log)
        if change.run is not None:
            self._states.keep(change.run)
        if self.log is not None and change.records:
            self.log.announce(change.records)
        return pending

    def unpublished(
        self, run: str = "", limit: int = 500, older_than: datetime | None = None
    ) -> Sequence[OutboxRow]:
        with self.database.read() as connection:
            return outbox.unpublished(connection, run, limit, micros_or_none(older_than))

    def mark_published(self, rows: Sequence[int], at: datetime) -> None:
        if rows:
            with self.database.change() as link:
                outbox.mark_published(link, rows, micros(at))

    def heartbeat(self, attempt: str, at: datetime, lease_until: datetime) -> None:  # noqa: ARG002 — the port's
        with self.database.change() as link:
            attempts.heartbeat(link, attempt, lease_until)

    def last_heard(self, attempts_: Collection[str]) -> Mapping[str, datetime]:
        with self.database.look() as link:
            return attempts.leases(link, attempts_)

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        with self.database.read() as connection:
            return attempts.due(connection, now, limit)

    def next_due(self) -> datetime | None:
        with self.database.read() as connection:
            return attempts.next_due(connection)

    def group_runs(self, project: str, group: str) -> Sequence[RunRow]:
        with self.database.read() as connection:
            return runs.of_group(connection, project, group)

    def environments(self, project: str, names: Collection[str]) -> Mapping[str, EnvironmentRow]:
        if not names:
            return {}
        with self.database.look() as link:
            return environments.find(link, project, names)

    def previous_outcome(self, project: str, branch: str, before: str) -> str:
        with self.database.look() as link:
            return runs.previous_outcome(link, project, branch, before)

    # --- recovery: the transport has lost what was on it ------------------------------------------

    def unfinished_launches(self, before: datetime, limit: int = 500) -> Sequence[AttemptRow]:
        """Attempts launched before then that have not started: `Orchestrator.resend` sends their tasks again."""
        with self.database.read() as connection:
            return attempts.launched_before(connection, before, limit)

    def open_attempts(self, after: tuple[str, str] = ("", ""), limit: int = 100) -> Sequence[AttemptRow]:
        with self.database.read() as connection:
            return attempts.open_after(connection, after, limit)

    def unanswered(self, before: datetime, limit: int = 500) -> Sequence[OutboxRow]:
        """The triggers of deliveries received before then that the orchestrator has never answered; to be published
        again as they are: their envelope ids are the same, and so is what they make."""
        with self.database.read() as connection:
            return deliveries.unanswered(connection, before, limit)

    # --- reading ----------------------------------------------------------------------------------

    def events(self, run: str, after: int = 0) -> Sequence[StoredEvent]:
        with self.database.look() as link:
            return runs.history(link, run, after)

    def runs(self, wanted: RunFilter = ANY_RUN, *, limit: int = 50, before: str = "") -> Sequence[RunRow]:
        with self.database.read() as connection:
            return runs.newest(connection, wanted, limit=limit, before=before)

    def find_runs(self, prefix: str) -> Sequence[RunRow]:
        """Also by number: ``12``, ``#12`` or ``owner/name#12``."""
        with self.database.read() as connection:
            return runs.find(connection, prefix)

    def attempts(self, run: str) -> Sequence[AttemptRow]:
        """Those that have not finished, the oldest first. The lease of one that has none is its launch deadline."""
        with self.database.read() as connection:
            return attempts.of_run(connection, run)

    def run_of(self, attempt: str) -> str:
        with self.database.look() as link:
            return attempts.run_of(link, attempt)

    # --- attestations -----------------------------------------------------------------------------

    def attestations(self, run: str) -> Sequence[Attestation]:
        with self.database.look() as link:
            return attestations.of_run(link, run)

    def attestations_of(self, image: str, *, gave: bool, limit: int = 100) -> Sequence[Attestation]:
        with self.database.look() as link:
            return attestations.of_image(link, image, gave=gave, limit=limit)

    # --- the webhook's ledger ---------------------------------------------------------------------

    def receive(self, delivery: Delivery) -> Delivery:
        with self.database.change() as link:
            return deliveries.receive(link, delivery)

    def update_delivery(self, delivery: Delivery) -> None:
        """What the orchestrator found out is never overwritten by what the webhook knew before."""
        with self.database.change() as link:
            deliveries.save(link, delivery)

    def deliveries(self, *, limit: int = 50, repository: str = "") -> Sequence[Delivery]:
        with self.database.read() as connection:
            return deliveries.newest(connection, limit, repository)

    # --- reports ----------------------------------------------------------------------------------

    def reserve_report(self, report: ReportRow) -> ReportRow | None:
        with self.database.change() as link:
            return reports.reserve(link, report)

    def record_report(self, report: ReportRow) -> None:
        with self.database.change() as link:
            reports.record(link, report)

    def settle_reports(self, reports_: Sequence[ReportRow]) -> None:
        if reports_:
            with self.database.change() as link:
                reports.settle(link, reports_)

    def find_report(self, run: str, channel: str, fact: str) -> ReportRow | None:
        with self.database.look() as link:
            return reports.find(link, run, channel, fact)

    # --- housekeeping -----------------------------------------------------------------------------

    def prune(self, now: datetime) -> int:
        return pruning.prune(self.database, now)

    def close(self) -> None:
        self.database.close()
