"""The write side: one `Commit`, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, text

from turnout.adapters.store import deliveries, outbox
from turnout.adapters.store.database import scalar
from turnout.adapters.store.instants import micros, micros_or_none
from turnout.adapters.store.outbox import LogWriter
from turnout.adapters.store.projection import check, run_row, touched_attempts
from turnout.adapters.store.tables import events
from turnout.core import events as e
from turnout.core.errors import Conflict, Duplicate
from turnout.core.ports import Commit, OutboxRow
from turnout.core.run import Run, dump

_RECEIVE = text("INSERT INTO inbox (message, run, at) VALUES (:message, :run, :at) ON CONFLICT DO NOTHING")
_NUMBER = text(
    "INSERT INTO projects (name, runs) VALUES (:name, 1)"
    " ON CONFLICT (name) DO UPDATE SET runs = projects.runs + 1 RETURNING runs"
)
_CREATE = text(
    "INSERT INTO runs (id, project, number, repository, branch, sha, title, author, kind, status, outcome, created_at,"
    " finished_at, group_name, version, due_at, state)"
    " VALUES (:id, :project, :number, :repository, :branch, :sha, :title, :author, :kind, :status, :outcome,"
    " :created_at, :finished_at, :group_name, :version, :due_at, :state) ON CONFLICT (id) DO NOTHING"
)
_CHANGE = text(
    "UPDATE runs SET status = :status, outcome = :outcome, finished_at = :finished_at, version = :version,"
    " due_at = :due_at, state = :state WHERE id = :id AND version = :expected"
)
_EVENT = insert(events)
_ATTEMPT = text(
    "INSERT INTO attempts (id, run, task, agent, number, status, launched_at, launch_deadline, finished_at)"
    " VALUES (:id, :run, :task, :agent, :number, :status, :launched_at, :launch_deadline, :finished_at)"
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, finished_at = excluded.finished_at,"
    " lease_until = CASE WHEN excluded.finished_at IS NULL THEN attempts.lease_until END"
)
_LEASE = text("UPDATE attempts SET lease_until = :lease_until WHERE id = :id AND finished_at IS NULL")


def write(connection: Connection, change: Commit, log: LogWriter | None) -> Sequence[OutboxRow]:
    """The rows that are still to be published. Raises: Duplicate, Conflict."""
    check(change)
    at = micros(change.at)
    run = change.run.id if change.run else ""
    if change.inbox:
        done = connection.execute(_RECEIVE, {"message": change.inbox, "run": run, "at": at})
        if done.rowcount == 0:
            raise Duplicate(f"message {change.inbox} has been handled before")
    if change.run is not None:
        _write_run(connection, change, change.run, at)
        _write_attempts(connection, change, change.run)
    for attempt, until in change.leases.items():
        connection.execute(_LEASE, {"id": attempt, "lease_until": micros(until)})
    pending: list[OutboxRow] = []
    rows: Sequence[int] = ()
    if change.records and log is not None:
        rows = log.append(connection, run, change.records, at)
    elif change.records:
        pending = outbox.keep(connection, run, change.records, at)
        rows = [row.id for row in pending]
    if change.delivery is not None:
        deliveries.save(connection, change.delivery, trigger_row=rows[0] if rows and not run else None)
    return pending


def _write_run(connection: Connection, change: Commit, run: Run, at: int) -> None:
    row = run_row(run)
    values = {
        "id": run.id,
        "status": row.status,
        "outcome": row.outcome,
        "finished_at": micros_or_none(row.finished_at),
        "version": row.version,
        "due_at": micros_or_none(change.due_at),
        "state": dump(run),
    }
    if change.expected:
        done = connection.execute(_CHANGE, {**values, "expected": change.expected})
    else:
        done = connection.execute(
            _CREATE,
            {
                **values,
                "project": row.project,
                "number": scalar(connection, _NUMBER, name=row.project),
                "repository": row.repository,
                "branch": row.branch,
                "sha": row.sha,
                "title": row.title,
                "author": row.author,
                "kind": row.kind,
                "created_at": micros(row.created_at),
                "group_name": row.group,
            },
        )
    if done.rowcount == 0:
        raise Conflict(f"run {run.id} is not at version {change.expected} any more")
    if change.events:
        connection.execute(
            _EVENT,
            [
                {
                    "run": run.id,
                    "version": change.expected + number,
                    "at": at,
                    "kind": event.kind,
                    "body": e.dump(event),
                }
                for number, event in enumerate(change.events, start=1)
            ],
        )


def _write_attempts(connection: Connection, change: Commit, run: Run) -> None:
    for each in touched_attempts(run, change.events):
        connection.execute(
            _ATTEMPT,
            {
                "id": each.id,
                "run": each.run,
                "task": each.task,
                "agent": each.agent,
                "number": each.number,
                "status": each.status,
                "launched_at": micros(each.launched_at),
                "launch_deadline": micros(each.launch_deadline),
                "finished_at": micros_or_none(each.finished_at),
            },
        )
