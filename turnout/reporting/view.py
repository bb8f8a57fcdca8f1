"""A run as people see it: what every channel tells, before it is put into that channel's form. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from turnout.core.model import ChangeKind, Outcome
from turnout.core.plan import ConfigProblem
from turnout.core.run import Rollback, Run, RunStatus, Stage, StageStatus, Task, TaskStatus
from turnout.reporting.policy import BAD, recovered, waiting
from turnout.reporting.trouble import Trouble, troubles
from turnout.reporting.wording import OUTCOMES, clean, counted, first_line

_WEB = re.compile(r"https?://[^\s<>|\"']{1,500}")


class Light(StrEnum):
    """What a person sees at a glance of a run or of a stage."""

    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCESS = "success"
    ALLOWED = "allowed"
    FAILURE = "failure"
    ERROR = "error"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StageView:
    """``seconds`` is None while it has not ended. ``note`` is one line, empty where there's nothing to add."""

    name: str
    light: Light
    attempts: int
    seconds: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """An approval that is waited for. ``by`` is empty where anyone who may see the run may give it."""

    stage: str
    environment: str
    required: int
    given: tuple[str, ...]
    by: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunView:
    """``where`` is like ``main``, ``tag v1.2`` or ``pull request #7 (fix-login)``. ``word`` follows the project's name.

    ``troubles``: the attempts that did not go well, in the order of their end. ``link``: the run in the console, or
    empty. ``seconds``: None while it goes on. ``cause``: what brought it about, where not the change itself.
    """

    id: str
    project: str
    light: Light
    word: str
    finished: bool
    recovered: bool
    where: str
    sha: str
    title: str
    author: str
    url: str
    link: str
    dirty: bool
    cause: str
    stages: tuple[StageView, ...]
    troubles: tuple[Trouble, ...]
    flaky: tuple[str, ...]
    wanted: tuple[Wanted, ...]
    problems: tuple[ConfigProblem, ...]
    reason: str
    created_at: datetime
    seconds: float | None

    @property
    def headline(self) -> str:
        return f"{self.project} {self.word} on {self.where}"

    @property
    def standing(self) -> tuple[Trouble, ...]:
        """What is wrong now: the troubles that are their tasks' last word."""
        return tuple(each for each in self.troubles if each.standing)

    @property
    def short_id(self) -> str:
        return self.id[:8]


def look(run: Run, *, previous: str = "", console: str = "") -> RunView:
    """``previous``: outcome of the run before on the branch. ``console``: base URL for the link, empty: no link."""
    light, word = _state(run, previous)
    change = run.change
    return RunView(
        id=run.id,
        project=clean(run.project),
        light=light,
        word=word,
        finished=run.finished,
        recovered=recovered(run, previous),
        where=_where(run),
        sha=change.sha[:7],
        title=first_line(change.title) or first_line(change.message),
        author=first_line(change.author, 80),
        url=change.url if _WEB.fullmatch(change.url) else "",
        link=f"{console.rstrip('/')}/runs/{run.id}" if console else "",
        dirty=change.dirty,
        cause=_cause(run),
        stages=tuple(_stage(stage) for stage in run.stages.values()),
        troubles=troubles(run),
        flaky=tuple(_flaky(run)),
        wanted=tuple(_wanted(run, stage) for stage in waiting(run)),
        problems=run.problems,
        reason=_reason(run),
        created_at=run.created_at,
        seconds=(run.finished_at - run.created_at).total_seconds() if run.finished_at else None,
    )


def _state(run: Run, previous: str) -> tuple[Light, str]:
    if run.outcome is not None:
        if recovered(run, previous):
            return Light.SUCCESS, "recovered"
        if run.outcome is Outcome.CANCELLED and run.superseded_by:
            return Light.CANCELLED, "was superseded"
        return Light(run.outcome.value), OUTCOMES[run.outcome]
    match run.status:
        case RunStatus.QUEUED:
            return Light.PENDING, "is queued"
        case RunStatus.CANCELLING:
            return Light.CANCELLED, "is being cancelled"
        case RunStatus.RUNNING | RunStatus.FINISHED:
            pass
        case _:
            assert_never(run.status)
    if run.halted_by:
        if run.stages[run.halted_by].outcome in BAD:
            return Light.FAILURE, "is failing"
        return Light.CANCELLED, "is being stopped"
    if any(waiting(run)):
        return Light.WAITING, "waits for approval"
    if any(_again(task) for _, task in run.tasks()):
        return Light.RETRYING, "is trying again"
    return Light.RUNNING, "is running"


def _where(run: Run) -> str:
    change = run.change
    branch = clean(change.branch)
    match change.kind:
        case ChangeKind.PULL_REQUEST:
            return f"pull request #{change.number} ({branch})" if branch else f"pull request #{change.number}"
        case ChangeKind.TAG:
            return f"tag {clean(change.tag)}"
        case ChangeKind.PUSH | ChangeKind.MANUAL | ChangeKind.SCHEDULE | ChangeKind.DISPATCH:
            return branch or clean(change.ref.removeprefix("refs/heads/").removeprefix("refs/tags/"))
        case _:
            assert_never(change.kind)


def _cause(run: Run) -> str:
    """What brought the run about, where it isn't the change itself."""
    who = f" by {first_line(run.requested_by, 80)}" if run.requested_by else ""
    if run.rerun_of:
        return f"rerun of {run.rerun_of[:8]}{who}"
    match run.change.kind:
        case ChangeKind.MANUAL:
            return f"started by hand{who}"
        case ChangeKind.SCHEDULE:
            return "started by the schedule"
        case ChangeKind.DISPATCH:
            return f"dispatched as {first_line(run.change.action, 100)}{who}"
        case _:
            return ""


def _reason(run: Run) -> str:
    if run.outcome is Outcome.SUCCESS:
        return ""
    if run.superseded_by:
        return f"a newer change took over: run {run.superseded_by[:8]}"
    reason = first_line(run.reason, 500)
    if run.cancelled_by:
        return f"cancelled by {first_line(run.cancelled_by, 80)}" + (f": {reason}" if reason else "")
    if not reason and run.held_by:
        return f"waits for run {', '.join(each[:8] for each in run.held_by)} of the same group"
    return reason


def _stage(stage: Stage) -> StageView:
    ended = stage.started_at is not None and stage.finished_at is not None
    return StageView(
        name=stage.name,
        light=_stage_light(stage),
        attempts=stage.attempts,
        seconds=(stage.finished_at - stage.started_at).total_seconds()
        if ended and stage.finished_at and stage.started_at
        else None,
        note=_note(stage),
    )


def _stage_light(stage: Stage) -> Light:
    match stage.status:
        case StageStatus.PENDING | StageStatus.APPROVED:
            return Light.PENDING
        case StageStatus.WAITING:
            return Light.WAITING
        case StageStatus.RUNNING:
            return Light.RETRYING if any(_again(task) for task in stage.tasks.values()) else Light.RUNNING
        case StageStatus.FINISHED:
            if stage.allowed and stage.outcome in BAD:
                return Light.ALLOWED
            return Light(stage.outcome.value) if stage.outcome else Light.PENDING
        case _:
            assert_never(stage.status)


def standing(stage: Stage) -> str:
    """What is to be said of a stage besides its attempts: that it waits for its environment, or was rolled back."""
    if stage.awaits:
        who = f"run {stage.held_by[:8]} is" if stage.held_by else "another stage is"
        return f"waits for environment {clean(stage.awaits)}: {who} at it"
    return _undone(stage.rollback) if stage.rollback is not None else ""


def _note(stage: Stage) -> str:
    match stage.status:
        case StageStatus.PENDING | StageStatus.APPROVED if stage.awaits:
            return standing(stage)
        case StageStatus.PENDING:
            return ""
        case StageStatus.APPROVED:
            return f"approved by {', '.join(clean(each.by) for each in stage.approvals)}"
        case StageStatus.WAITING:
            return "waits for approval"
        case StageStatus.RUNNING | StageStatus.FINISHED:
            pass
        case _:
            assert_never(stage.status)
    if not any(task.attempts for task in stage.tasks.values()):
        skipped = "skipped: " if stage.outcome is Outcome.SKIPPED and stage.reason else ""
        return first_line(skipped + stage.reason)
    if stage.rollback is not None:
        return standing(stage)
    if len(stage.tasks) > 1:
        return _cells(stage)
    task = next(iter(stage.tasks.values()))
    said = _said(task)
    if _again(task):
        return f"trying again after: {said}" if said else "trying again"
    return said or first_line(stage.reason)


def _undone(rollback: Rollback) -> str:
    if rollback.outcome is None:
        return first_line(f"is being rolled back: {rollback.because} failed")
    if rollback.outcome is Outcome.SUCCESS:
        return first_line(f"rolled back: {rollback.because} failed")
    return first_line(f"rollback failed: {rollback.reason}" if rollback.reason else "rollback failed")


def _again(task: Task) -> bool:
    """Whether it waits for its next attempt, or is at one that isn't the first."""
    return task.status is TaskStatus.RETRYING or (task.active and len(task.attempts) > 1)


def _said(task: Task) -> str:
    """What the newest attempt that has ended said in one line."""
    for attempt in reversed(task.attempts):
        if attempt.result:
            return first_line(attempt.result.summary) or first_line(attempt.result.reason)
    return ""


def _cells(stage: Stage) -> str:
    done = sum(task.outcome is Outcome.SUCCESS for task in stage.tasks.values())
    bad = [task.id for task in stage.tasks.values() if task.outcome in BAD]
    text = f"{done} of {counted(len(stage.tasks), 'cell')} succeeded"
    return first_line(f"{text}; not: {', '.join(bad)}") if bad else text


def _flaky(run: Run) -> Iterator[str]:
    for _, task in run.tasks():
        last = task.current
        if last and last.result and last.result.tests:
            yield from last.result.tests.flaky


def _wanted(run: Run, stage: Stage) -> Wanted:
    planned = run.planned(stage.name)
    return Wanted(
        stage=stage.name,
        environment=planned.environment,
        required=planned.approval.required if planned.approval else 1,
        given=tuple(each.by for each in stage.approvals),
        by=planned.approval.by if planned.approval else (),
        expires_at=stage.expires_at,
    )
