"""A run's state. The only way it changes is `turnout.core.evolve`.

The legal transitions are the table `TRANSITIONS`. Three kinds of machine live in a run: the run itself, each of
its stages, each task of a stage; an attempt is a part of its task. docs/states.md is drawn from the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field, TypeAdapter

from turnout.core import events as e
from turnout.core.change import Change
from turnout.core.model import Outcome, Value
from turnout.core.plan import ConfigProblem, Plan, PlannedStage
from turnout.core.proposal import Proposal
from turnout.core.result import Result


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    FINISHED = "finished"


class StageStatus(StrEnum):
    PENDING = "pending"
    WAITING = "waiting"
    APPROVED = "approved"
    RUNNING = "running"
    FINISHED = "finished"


class TaskStatus(StrEnum):
    PENDING = "pending"
    LAUNCHED = "launched"
    STARTED = "started"
    SETTLING = "settling"
    RETRYING = "retrying"
    FINISHED = "finished"


R, S, T = RunStatus, StageStatus, TaskStatus

RUN_TRANSITIONS: dict[RunStatus, dict[type[Value], RunStatus]] = {
    R.QUEUED: {e.RunReleased: R.RUNNING, e.CancelRequested: R.CANCELLING},
    R.RUNNING: {e.CancelRequested: R.CANCELLING, e.RunHalted: R.RUNNING, e.RunFinished: R.FINISHED},
    R.CANCELLING: {e.RunFinished: R.FINISHED},
    R.FINISHED: {},
}
STAGE_TRANSITIONS: dict[StageStatus, dict[type[Value], StageStatus]] = {
    S.PENDING: {
        e.StageStarted: S.RUNNING,
        e.ApprovalRequested: S.WAITING,
        e.EnvironmentAwaited: S.PENDING,
        e.StageSkipped: S.FINISHED,
    },
    S.WAITING: {e.StageApproved: S.APPROVED, e.StageRejected: S.FINISHED, e.StageSkipped: S.FINISHED},
    S.APPROVED: {
        e.StageStarted: S.RUNNING,
        e.EnvironmentAwaited: S.APPROVED,
        e.StageSkipped: S.FINISHED,
    },
    S.RUNNING: {e.StageFinished: S.FINISHED},
    S.FINISHED: {e.RollbackStarted: S.FINISHED, e.RollbackFinished: S.FINISHED},
}
TASK_TRANSITIONS: dict[TaskStatus, dict[type[Value], TaskStatus]] = {
    T.PENDING: {e.AttemptLaunched: T.LAUNCHED, e.TaskFinished: T.FINISHED},
    T.LAUNCHED: {e.AttemptStarted: T.STARTED, e.CancelOrdered: T.LAUNCHED, e.AttemptFinished: T.SETTLING},
    T.STARTED: {e.CancelOrdered: T.STARTED, e.AttemptFinished: T.SETTLING},
    T.SETTLING: {e.RetryScheduled: T.RETRYING, e.TaskFinished: T.FINISHED},
    T.RETRYING: {e.AttemptLaunched: T.LAUNCHED, e.TaskFinished: T.FINISHED},
    T.FINISHED: {},
}
"""State, then event, then the state after it. Four refinements that a table can't say: an incomplete
`StageApproved` leaves the stage waiting; an event about an attempt must name the task's current one; a run is
created queued where it is held by another, and running where not; a stage is rolled back once, and its rollback's tasks
come and go as its own did."""

TRANSITIONS: dict[str, dict[Any, dict[type[Value], Any]]] = {
    "run": RUN_TRANSITIONS,
    "stage": STAGE_TRANSITIONS,
    "task": TASK_TRANSITIONS,
}


class Attempt(Value):
    """``launch_deadline``, ``deadline`` and ``give_up_at`` are when the orchestrator stops waiting by itself."""

    id: str
    number: int
    launched_at: datetime
    launch_deadline: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deadline: datetime | None = None
    give_up_at: datetime | None = None
    cancel_reason: str = ""
    worker: str = ""
    sandbox: str = ""
    by: str = ""
    result: Result | None = None


class Task(Value):
    """``retries`` and ``lost`` are what has been spent of the pipeline's and of the infrastructure budget."""

    id: str
    status: TaskStatus = TaskStatus.PENDING
    attempts: tuple[Attempt, ...] = ()
    retries: int = 0
    lost: int = 0
    due_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str = ""

    @property
    def current(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def active(self) -> bool:
        return self.status in (TaskStatus.LAUNCHED, TaskStatus.STARTED)


class ApprovalGiven(Value):
    by: str
    at: datetime
    comment: str = ""


class Rollback(Value):
    """What a stage deployed is being undone, or was. ``because``: the stage that failed. ``outcome``: None: not over.

    ``tasks``: one for each task of the stage, called as `rollback_task` says.
    """

    because: str
    tasks: dict[str, Task]
    started_at: datetime
    finished_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str = ""


def rollback_task(task: str) -> str:
    """The id of the task that undoes this one; no cell of a matrix is called so."""
    return f"{task}[rollback]"


class Stage(Value):
    """``blocks``: the stages that need this one must not start, since it did not end well enough.

    ``carried``: its end was taken over from the run that this one reruns. ``awaits``: the environment that it waits
    for, empty: none; ``held_by``: the run that has it, empty: this one.
    """

    name: str
    status: StageStatus = StageStatus.PENDING
    tasks: dict[str, Task] = Field(default_factory=dict)
    approvals: tuple[ApprovalGiven, ...] = ()
    expires_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str = ""
    blocks: bool = False
    allowed: bool = False
    carried: bool = False
    outputs: dict[str, str] = Field(default_factory=dict)
    awaits: str = ""
    held_by: str = ""
    rollback: Rollback | None = None

    @property
    def all_tasks(self) -> dict[str, Task]:
        """Its own, and those of its rollback."""
        return {**self.tasks, **self.rollback.tasks} if self.rollback else self.tasks

    @property
    def attempts(self) -> int:
        return max((len(task.attempts) for task in self.tasks.values()), default=0)


class Run(Value):
    """``version`` is the number of events folded into this state."""

    id: str
    version: int
    status: RunStatus
    project: str
    change: Change
    trigger: str
    delivery: str = ""
    plan: Plan | None
    problems: tuple[ConfigProblem, ...] = ()
    requested_by: str = ""
    rerun_of: str = ""
    rerun_mode: str = ""
    held_by: tuple[str, ...] = ()
    timing: e.Timing = e.Timing()
    proposal: Proposal | None = None
    created_at: datetime
    finished_at: datetime | None = None
    stages: dict[str, Stage] = Field(default_factory=dict)
    halted_by: str = ""
    cancelled_by: str = ""
    superseded_by: str = ""
    outcome: Outcome | None = None
    reason: str = ""

    @property
    def finished(self) -> bool:
        return self.status is RunStatus.FINISHED

    def planned(self, stage: str) -> PlannedStage:
        """Raises: KeyError."""
        if self.plan is None:
            raise KeyError(stage)
        return self.plan.stage(stage)

    def tasks(self) -> Iterator[tuple[Stage, Task]]:
        """All tasks, those of rollbacks too."""
        for stage in self.stages.values():
            for task in stage.all_tasks.values():
                yield stage, task

    def stage_of(self, task: str) -> str | None:
        """The name of the stage that has this task."""
        return next((stage.name for stage in self.stages.values() if task in stage.all_tasks), None)

    def attempt(self, attempt: str) -> tuple[Stage, Task, Attempt] | None:
        for stage, task in self.tasks():
            for each in task.attempts:
                if each.id == attempt:
                    return stage, task, each
        return None


_RUN: TypeAdapter[Run] = TypeAdapter(Run)


def dump(run: Run) -> str:
    return run.model_dump_json()


def load(text: str | bytes) -> Run:
    """The inverse of `dump`. Fields that this version does not know are dropped."""
    return _RUN.validate_json(text, extra="ignore")
