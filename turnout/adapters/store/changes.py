"""The write side: one `Commit`, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from turnout.adapters.store import attestations, deliveries, environments, folded, outbox
from turnout.adapters.store.instants import micros, micros_or_none
from turnout.adapters.store.link import Answer, Link, Statement
from turnout.adapters.store.outbox import LogWriter
from turnout.adapters.store.projection import check, run_row, storable, touched_attempts
from turnout.core import events as e
from turnout.core.errors import Conflict, Duplicate
from turnout.core.ports import Commit, OutboxRow
from turnout.core.run import Run

_RECEIVE = Statement(
    "INSERT INTO inbox (message, run, at) VALUES (:message, :run, :at) ON CONFLICT DO NOTHING"
)
_NUMBER = Statement(
    "INSERT INTO projects (name, runs) VALUES (:name, 1)"
    " ON CONFLICT (name) DO UPDATE SET runs = projects.runs + 1"
)
_CREATE = Statement(
    "INSERT INTO runs (id, project, number, repository, branch, sha, title, author, kind, status, outcome, created_at,"
    " finished_at, group_name, version, due_at, state)"
    " VALUES (:id, :project, (SELECT runs FROM projects WHERE name = :project), :repository, :branch, :sha, :title,"
    " :author, :kind, :status, :outcome, :created_at, :finished_at, :group_name, :version, :due_at, :state)"
    " ON CONFLICT (id) DO NOTHING"
)
_CHANGE = Statement(
    "UPDATE runs SET status = :status, outcome = :outcome, finished_at = :finished_at, version = :version,"
    " due_at = :due_at, state = :state WHERE id = :id AND version = :expected"
)
_EVENT = Statement(
    "INSERT INTO events (run, version, at, kind, body) VALUES (:run, :version, :at, :kind, :body)"
)
_ATTEMPT = Statement(
    "INSERT INTO attempts (id, run, task, agent, number, status, launched_at, launch_deadline, finished_at)"
    " VALUES (:id, :run, :task, :agent, :number, :status, :launched_at, :launch_deadline, :finished_at)"
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, finished_at = excluded.finished_at,"
    " lease_until = CASE WHEN excluded.finished_at IS NULL THEN attempts.lease_until END"
)
_LEASE = Statement("UPDATE attempts SET lease_until = :lease_until WHERE id = :id AND finished_at IS NULL")


def write(link: Link, change: Commit, log: LogWriter | None) -> Sequence[OutboxRow]:
    """The rows that are still to be published. Raises: Duplicate, Conflict."""
    check(change)
    at = micros(change.at)
    run = change.run.id if change.run else ""
    received = link.send(_RECEIVE, {"message": change.inbox, "run": run, "at": at}) if change.inbox else None
    written = _write_run(link, change, change.run) if change.run is not None else None
    # Only now an answer is waited for: on the way to a server each one costs a journey.
    if received is not None and received.count == 0:
        raise Duplicate(f"message {change.inbox} has been handled before")
    if written is not None and written.count == 0:
        raise Conflict(f"run {run} is not at version {change.expected} any more")
    if change.run is not None and change.turns:
        _take_turns(link, change.run, change)
    if change.run is not None:
        _write_events(link, change, run, at)
        _write_attempts(link, change, change.run)
    for attempt, until in change.leases.items():
        link.send(_LEASE, {"id": attempt, "lease_until": micros(until)})
    attestations.keep(link, change.attestations)
    rows = _write_records(link, change, run, log, at)
    if change.delivery is not None:
        first = int(rows[0].rows[0][0]) if rows and not run else None
        deliveries.save(link, change.delivery, trigger_row=first)
    if log is not None:
        return ()
    return [
        OutboxRow(int(row.rows[0][0]), run, record) for row, record in zip(rows, change.records, strict=True)
    ]


def _take_turns(link: Link, run: Run, change: Commit) -> None:
    """Raises: Conflict."""
    answers = environments.change(link, run, change.turns, micros(change.at))
    there = environments.deployed(link, run.project, change.turns.taken) if answers else None
    for name, answer in zip(change.turns.taken, answers, strict=True):
        if answer.count == 0:
            raise Conflict(f"environment {name} is held by another run")
    if there is not None and dict(there.rows) != {
        storable(name): change.deployed[name] for name in change.turns.taken if change.deployed.get(name)
    }:
        raise Conflict("somebody else has deployed meanwhile")


def _write_run(link: Link, change: Commit, run: Run) -> Answer:
    row = run_row(run)
    values = {
        "id": run.id,
        "status": row.status,
        "outcome": row.outcome,
        "finished_at": micros_or_none(row.finished_at),
        "version": row.version,
        "due_at": micros_or_none(change.due_at),
        "state": folded.write(run),
    }
    if change.expected:
        return link.send(_CHANGE, {**values, "expected": change.expected})
    link.send(_NUMBER, {"name": row.project})
    return link.send(
        _CREATE,
        {
            **values,
            "project": row.project,
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


def _write_events(link: Link, change: Commit, run: str, at: int) -> None:
    link.send_many(
        _EVENT,
        [
            {
                "run": run,
                "version": change.expected + number,
                "at": at,
                "kind": event.kind,
                "body": e.dump(event),
            }
            for number, event in enumerate(change.events, start=1)
        ],
    )


def _write_attempts(link: Link, change: Commit, run: Run) -> None:
    for each in touched_attempts(run, change.events):
        link.send(
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


def _write_records(link: Link, change: Commit, run: str, log: LogWriter | None, at: int) -> Sequence[Answer]:
    if not change.records:
        return ()
    if log is not None:
        return log.append(link, run, change.records, at)
    return outbox.keep(link, run, change.records, at)
