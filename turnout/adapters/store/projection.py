"""What lists and the sweeper need to know of a run, computed from its state. Pure: every store computes the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from turnout.core import events as e
from turnout.core.errors import PermanentError
from turnout.core.ports import Commit, RunRow
from turnout.core.run import Run

OPEN_STATUSES = ("queued", "running", "cancelling")


@dataclass(frozen=True, slots=True)
class AttemptState:
    """An attempt as it is after a change. ``status``: ``launched``, ``started`` or ``finished``."""

    id: str
    run: str
    task: str
    agent: str
    number: int
    status: str
    launched_at: datetime
    launch_deadline: datetime
    finished_at: datetime | None


def run_row(run: Run, number: int = 0) -> RunRow:
    change = run.change
    group = run.plan.concurrency if run.plan else None
    return RunRow(
        id=run.id,
        project=storable(run.project),
        repository=storable(change.repository),
        branch=storable(change.branch),
        sha=storable(change.sha),
        title=storable(change.title),
        author=storable(change.author),
        kind=change.kind.value,
        status=run.status.value,
        outcome=run.outcome.value if run.outcome else "",
        created_at=run.created_at,
        finished_at=run.finished_at,
        group=storable(group.group) if group else "",
        version=run.version,
        number=number,
    )


def touched_attempts(run: Run, events: Iterable[e.Event]) -> Iterator[AttemptState]:
    """The attempts that these events, the newest of ``run``, are about; each once, as it is now."""
    named = {
        event.attempt
        for event in events
        if isinstance(event, e.AttemptLaunched | e.AttemptStarted | e.AttemptFinished)
    }
    for stage, task in run.tasks() if named else ():
        for attempt in task.attempts:
            if attempt.id not in named:
                continue
            status = "started" if attempt.started_at is not None else "launched"
            yield AttemptState(
                id=attempt.id,
                run=run.id,
                task=task.id,
                agent=run.planned(stage.name).agent,
                number=attempt.number,
                status="finished" if attempt.finished_at is not None else status,
                launched_at=attempt.launched_at,
                launch_deadline=attempt.launch_deadline,
                finished_at=attempt.finished_at,
            )


def check(change: Commit) -> None:
    """Raises: PermanentError for a change that contradicts itself, which is a defect of its maker."""
    run = change.run
    if run is None:
        if change.events:
            raise PermanentError("a commit of events without the run they belong to")
        return
    if run.version != change.expected + len(change.events):
        raise PermanentError(
            f"run {run.id} is at version {run.version} after {len(change.events)} events on {change.expected}"
        )


def storable(text: str) -> str:
    """PostgreSQL's text takes no NUL; the events and the state keep it, escaped."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
