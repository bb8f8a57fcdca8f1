"""The store in one process: the same answers as the database's, with nothing that outlives the process.

For fast tests, and for a simulator: no clock and no chance, so the same calls give the same answers; as an object of
its own it survives the deaths of the processes that a simulator plays. Records wait to be published, as on Kafka.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import RLock

from turnout.adapters.store.finding import MOST_FOUND, wanted
from turnout.adapters.store.ledger import may_follow, merged
from turnout.adapters.store.projection import (
    AttemptState,
    check,
    run_row,
    storable,
    touched_attempts,
)
from turnout.core.attestation import Attestation
from turnout.core.environments import Turns
from turnout.core.errors import Conflict, Duplicate
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
from turnout.core.ports.figures import Open, Standing, Turn
from turnout.core.ports.store import ANY_RUN
from turnout.core.run import Run
from turnout.core.topics import DAY, TOPICS

_INBOX_KEPT = timedelta(days=14)
_RETENTION = {each.name: timedelta(seconds=each.retention) for each in TOPICS}


@dataclass(frozen=True, slots=True)
class _Row:
    row: OutboxRow
    created_at: datetime
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Of the inbox. ``run``: empty where nothing came of the message."""

    message: str
    run: str
    at: datetime


class MemoryStore:
    def __init__(self) -> None:
        self._lock = RLock()
        self._inbox: dict[str, Entry] = {}
        self._runs: dict[str, Run] = {}  # in the order of creation
        self._numbers: dict[str, int] = {}
        self._projects: dict[str, int] = {}
        self._due: dict[str, datetime] = {}
        self._events: dict[str, list[StoredEvent]] = {}
        self._attempts: dict[str, AttemptState] = {}
        self._leases: dict[str, datetime] = {}
        self._outbox: dict[int, _Row] = {}
        self._written = 0
        self._deliveries: dict[tuple[str, str], Delivery] = {}
        self._triggers: dict[tuple[str, str], int] = {}
        self._reports: dict[tuple[str, str, str], ReportRow] = {}
        self._holders: dict[tuple[str, str], str] = {}  # by project and environment
        self._deployed: dict[tuple[str, str], str] = {}
        self._held: dict[tuple[str, str], datetime] = {}
        self._queues: dict[tuple[str, str], dict[str, datetime]] = {}
        self._attestations: dict[tuple[str, str], Attestation] = {}

    # --- orchestration --------------------------------------------------------------------------

    def seen(self, message: str) -> bool:
        with self._lock:
            return message in self._inbox

    def load(self, run: str) -> Run | None:
        with self._lock:
            return self._runs.get(run)

    def commit(self, change: Commit) -> Sequence[OutboxRow]:
        with self._lock:
            self._check(change)
            if change.inbox:
                run = change.run.id if change.run else ""
                self._inbox[change.inbox] = Entry(change.inbox, run, change.at)
            if change.run is not None:
                self._write_run(change, change.run)
                self._take_turns(change.run, change.turns, change.at)
            for attempt, until in change.leases.items():
                if attempt in self._attempts and self._attempts[attempt].finished_at is None:
                    self._leases[attempt] = until
            for made in change.attestations:
                self._attestations.setdefault((made.run, made.attempt), made)
            rows = [self._keep(change, number) for number in range(len(change.records))]
            if change.delivery is not None:
                self._save(change.delivery)
                if rows and change.run is None:
                    self._triggers[(change.delivery.source, change.delivery.id)] = rows[0].id
            return rows

    def unpublished(
        self, run: str = "", limit: int = 500, older_than: datetime | None = None
    ) -> Sequence[OutboxRow]:
        with self._lock:
            return [
                each.row
                for each in self._outbox.values()
                if each.published_at is None
                and run in ("", each.row.run)
                and (older_than is None or each.created_at < older_than)
            ][:limit]

    def mark_published(self, rows: Sequence[int], at: datetime) -> None:
        with self._lock:
            for id in rows:
                if id in self._outbox and self._outbox[id].published_at is None:
                    self._outbox[id] = replace(self._outbox[id], published_at=at)

    def heartbeat(self, attempt: str, at: datetime, lease_until: datetime) -> None:  # noqa: ARG002 — the port's
        with self._lock:
            known = self._attempts.get(attempt)
            if known is not None and known.status == "started":
                self._leases[attempt] = max(lease_until, self._leases.get(attempt, lease_until))

    def last_heard(self, attempts: Collection[str]) -> Mapping[str, datetime]:
        with self._lock:
            return {each: self._leases[each] for each in attempts if each in self._leases}

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        with self._lock:
            runs = ((at, run) for run, at in self._due.items() if at <= now)
            lost = ((at, self._attempts[each].run) for each, at in self._leases.items() if at <= now)
            return list(dict.fromkeys(run for _, run in sorted([*runs, *lost])))[:limit]

    def next_due(self) -> datetime | None:
        with self._lock:
            return min([*self._due.values(), *self._leases.values()], default=None)

    def group_runs(self, project: str, group: str) -> Sequence[RunRow]:
        with self._lock:
            open_ = (self._row(run) for run in self._runs.values() if not run.finished)
            return [row for row in open_ if row.project == project and row.group == group]

    def environments(self, project: str, names: Collection[str]) -> Mapping[str, EnvironmentRow]:
        with self._lock:
            found = {}
            for name in names:
                holder = self._holders.get((project, name), "")
                waiting = sorted(self._queues.get((project, name), {}).items(), key=lambda each: each[::-1])
                there = self._deployed.get((project, name), "")
                if holder or waiting or there:
                    found[name] = EnvironmentRow(holder, tuple(waiting), there)
            return found

    def previous_outcome(self, project: str, branch: str, before: str) -> str:
        with self._lock:
            found = self._newest(before)
            ended = (row for row in found if row.project == project and row.branch == branch)
            return next((row.outcome for row in ended if row.finished_at is not None), "")

    # --- recovery -------------------------------------------------------------------------------

    def unfinished_launches(self, before: datetime, limit: int = 500) -> Sequence[AttemptRow]:
        """Attempts launched before then that have not started."""
        with self._lock:
            waiting = [each for each in self._attempts.values() if each.status == "launched"]
            old = [each for each in waiting if each.launched_at < before]
            return [self._attempt_row(each) for each in sorted(old, key=lambda each: each.launched_at)][
                :limit
            ]

    def open_attempts(self, after: tuple[str, str] = ("", ""), limit: int = 100) -> Sequence[AttemptRow]:
        with self._lock:
            mine = [each for each in self._attempts.values() if each.finished_at is None]
            found = sorted(
                (each for each in mine if (each.run, each.id) > after), key=lambda each: (each.run, each.id)
            )
            return [self._attempt_row(each) for each in found[:limit]]

    def unanswered(self, before: datetime, limit: int = 500) -> Sequence[OutboxRow]:
        """The triggers of deliveries received before then that the orchestrator has never answered."""
        with self._lock:
            silent = [
                self._triggers[key]
                for key, each in self._deliveries.items()
                if each.status == "published" and each.received_at < before and key in self._triggers
            ]
            return [self._outbox[id].row for id in sorted(silent) if id in self._outbox][:limit]

    # --- reading ----------------------------------------------------------------------------------

    def events(self, run: str, after: int = 0) -> Sequence[StoredEvent]:
        with self._lock:
            return self._events.get(run, [])[after:]

    def runs(self, wanted: RunFilter = ANY_RUN, *, limit: int = 50, before: str = "") -> Sequence[RunRow]:
        with self._lock:
            return [row for row in self._newest(before) if wanted.takes(row)][:limit]

    def find_runs(self, prefix: str) -> Sequence[RunRow]:
        with self._lock:
            asked, newest = wanted(prefix), self._newest("")
            if asked is None:
                return []
            if asked.latest:
                return newest[:1]
            if asked.beginning:
                found = [row for row in newest if row.id.startswith(asked.beginning)]
                found.sort(key=lambda row: row.id)
            else:
                numbered = (row for row in newest if row.number == asked.number)
                found = [row for row in numbered if asked.project in ("", row.project)]
            return found[:MOST_FOUND]

    def attempts(self, run: str) -> Sequence[AttemptRow]:
        with self._lock:
            mine = [each for each in self._attempts.values() if each.run == run and each.finished_at is None]
            return [
                self._attempt_row(each) for each in sorted(mine, key=lambda each: (each.launched_at, each.id))
            ]

    def run_of(self, attempt: str) -> str:
        with self._lock:
            known = self._attempts.get(attempt)
            return known.run if known else ""

    # --- attestations -----------------------------------------------------------------------------

    def attestations(self, run: str) -> Sequence[Attestation]:
        with self._lock:
            mine = (each for each in self._attestations.values() if each.run == run)
            return sorted(mine, key=lambda each: (each.at, each.attempt))

    def attestations_of(self, image: str, *, gave: bool, limit: int = 100) -> Sequence[Attestation]:
        with self._lock:
            known = self._attestations.values()
            found = [each for each in known if image in (each.gave if gave else each.given)]
            found.sort(key=lambda each: (each.at, each.run, each.attempt), reverse=True)
            return found[:limit]

    # --- the webhook's ledger ---------------------------------------------------------------------

    def receive(self, delivery: Delivery) -> Delivery:
        with self._lock:
            may_follow(delivery.status)
            return self._deliveries.setdefault((delivery.source, delivery.id), delivery)

    def update_delivery(self, delivery: Delivery) -> None:
        with self._lock:
            self._save(delivery)

    def deliveries(self, *, limit: int = 50, repository: str = "") -> Sequence[Delivery]:
        with self._lock:
            newest = reversed(self._deliveries.values())
            return [each for each in newest if repository in ("", each.repository)][:limit]

    # --- reports ----------------------------------------------------------------------------------

    def reserve_report(self, report: ReportRow) -> ReportRow | None:
        with self._lock:
            known = self._reports.get((report.run, report.channel, report.fact))
            if known is None:
                self.record_report(report)
            return known

    def record_report(self, report: ReportRow) -> None:
        with self._lock:
            self._reports[(report.run, report.channel, report.fact)] = report

    def settle_reports(self, reports: Sequence[ReportRow]) -> None:
        with self._lock:
            for each in reports:
                known = self._reports.get((each.run, each.channel, each.fact))
                if known is None or known.status not in ("sent", "skipped") or known.version < each.version:
                    self.record_report(each)

    def find_report(self, run: str, channel: str, fact: str) -> ReportRow | None:
        with self._lock:
            return self._reports.get((run, channel, fact))

    # --- housekeeping -----------------------------------------------------------------------------

    def prune(self, now: datetime) -> int:
        with self._lock:
            messages = [each for each, entry in self._inbox.items() if entry.at < now - _INBOX_KEPT]
            for message in messages:
                del self._inbox[message]
            sent = [
                id
                for id, each in self._outbox.items()
                if each.published_at is not None
                and each.published_at
                < now - _RETENTION.get(each.row.record.topic, timedelta(seconds=7 * DAY))
            ]
            for id in sent:
                del self._outbox[id]
            return len(messages) + len(sent)

    def close(self) -> None:
        """Nothing to close."""

    # --- for the figures (`turnout.adapters.memory_figures`) ------------------------------------------

    def standing(self, now: datetime) -> Standing:
        with self._lock:
            runs = [run for run in self._runs.values() if not run.finished]
            attempts = [each for each in self._attempts.values() if each.finished_at is None]
            waiting = {key: len(queue) for key, queue in self._queues.items() if queue}
            return Standing(
                runs=_open((run.status.value, run.created_at) for run in runs),
                attempts=_open((each.agent, each.launched_at) for each in attempts),
                overdue=sum(self._attempt_row(each).lease_until < now for each in attempts),
                unpublished=_open(
                    ("", row.created_at) for row in self._outbox.values() if row.published_at is None
                ).get("", Open()),
                turns=tuple(
                    Turn(*key, self._held.get(key), waiting.get(key, 0))
                    for key in sorted({*self._holders, *waiting})
                ),
            )

    # --- for the ledger (`turnout.adapters.memory_books`) ---------------------------------------------

    def entries(self) -> Sequence[Entry]:
        with self._lock:
            return list(self._inbox.values())

    def states(self) -> Sequence[Run]:
        with self._lock:
            return list(self._runs.values())

    def launched(self) -> Sequence[AttemptState]:
        with self._lock:
            return list(self._attempts.values())

    def all_deliveries(self) -> Sequence[Delivery]:
        with self._lock:
            return list(self._deliveries.values())

    def trigger_of(self, delivery: Delivery) -> bytes | None:
        """The body of the message that it became, as long as that is kept."""
        with self._lock:
            kept = self._outbox.get(self._triggers.get((delivery.source, delivery.id), 0))
            return kept.row.record.value if kept is not None else None

    def all_reports(self) -> Sequence[ReportRow]:
        with self._lock:
            return list(self._reports.values())

    def due_of(self, run: str) -> datetime | None:
        with self._lock:
            return self._due.get(run)

    # --- the lock is held ---------------------------------------------------------------------------

    def _check(self, change: Commit) -> None:
        check(change)
        if change.inbox in self._inbox:
            raise Duplicate(f"message {change.inbox} has been handled before")
        if change.run is not None:
            known = self._runs.get(change.run.id)
            if (known.version if known else 0) != change.expected:
                raise Conflict(f"run {change.run.id} is not at version {change.expected} any more")
            for name in change.turns.taken:
                if (change.run.project, name) in self._holders:
                    raise Conflict(f"environment {name} is held by another run")
                if self._deployed.get((change.run.project, name), "") != change.deployed.get(name, ""):
                    raise Conflict("somebody else has deployed meanwhile")
        if change.delivery is not None:
            may_follow(change.delivery.status)

    def _write_run(self, change: Commit, run: Run) -> None:
        if run.id not in self._runs:
            project = storable(run.project)
            self._projects[project] = self._numbers[run.id] = self._projects.get(project, 0) + 1
        self._runs[run.id] = run
        if change.due_at is None:
            self._due.pop(run.id, None)
        else:
            self._due[run.id] = change.due_at
        log = self._events.setdefault(run.id, [])
        for event in change.events:
            log.append(StoredEvent(run.id, len(log) + 1, change.at, event))
        for each in touched_attempts(run, change.events):
            self._attempts[each.id] = each
            if each.finished_at is not None:
                self._leases.pop(each.id, None)

    def _take_turns(self, run: Run, turns: Turns, at: datetime) -> None:
        for name in turns.given:
            if self._holders.get((run.project, name)) == run.id:
                del self._holders[(run.project, name)], self._held[(run.project, name)]
        for name in turns.unqueued:
            self._queues.get((run.project, name), {}).pop(run.id, None)
        for name in turns.queued:
            self._queues.setdefault((run.project, name), {})[run.id] = run.created_at
        for name in turns.deployed:
            self._deployed[(run.project, name)] = run.id
        for name in turns.taken:
            self._holders[(run.project, name)] = run.id
            self._held[(run.project, name)] = at

    def _keep(self, change: Commit, number: int) -> OutboxRow:
        self._written += 1
        run = change.run.id if change.run else ""
        row = OutboxRow(self._written, run, change.records[number])
        self._outbox[row.id] = _Row(row, change.at)
        return row

    def _save(self, delivery: Delivery) -> None:
        may_follow(delivery.status)
        key = (delivery.source, delivery.id)
        known = self._deliveries.get(key)
        self._deliveries[key] = delivery if known is None else merged(known, delivery)

    def _row(self, run: Run) -> RunRow:
        return run_row(run, self._numbers[run.id])

    def _newest(self, before: str) -> list[RunRow]:
        """All runs, or those made before one of them; of one that isn't here, all."""
        ids = list(self._runs)
        older = ids[: ids.index(before)] if before in self._runs else ids
        return [self._row(self._runs[id]) for id in reversed(older)]

    def _attempt_row(self, each: AttemptState) -> AttemptRow:
        return AttemptRow(
            id=each.id,
            run=each.run,
            task=each.task,
            agent=each.agent,
            number=each.number,
            status=each.status,
            lease_until=self._leases.get(each.id, each.launch_deadline),
        )


def _open(found: Iterable[tuple[str, datetime]]) -> dict[str, Open]:
    """What each name has open, and since when."""
    times: dict[str, list[datetime]] = {}
    for name, since in found:
        times.setdefault(name, []).append(since)
    return {name: Open(len(each), min(each)) for name, each in times.items()}
