"""The facts of a run, in the past tense. What is stored is these, in order; everything else is derived.

Meaning must never change for an event that has been stored: add a field with a default, or a new event.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from turnout.core.change import Change
from turnout.core.errors import Newer
from turnout.core.model import Outcome, Value
from turnout.core.plan import ConfigProblem, Plan
from turnout.core.proposal import Proposal
from turnout.core.result import Result


class Timing(Value):
    """Deadlines of the platform, in seconds; recorded with the run so that a replay decides the same.

    ``launch``: from launched to started. ``lease``: from the last heartbeat to lost. ``heartbeat``: how often one
    is expected. ``cancel_grace``: how long a cancelled attempt may take to say so. ``timeout_grace``: how long after
    the task's own timeout the orchestrator ends it by itself.
    """

    launch: float = 900.0
    lease: float = 30.0
    heartbeat: float = 5.0
    cancel_grace: float = 30.0
    timeout_grace: float = 30.0


EndedBy = Literal["agent", "launch", "lease", "timeout", "cancel", "runtime"]


class Carried(Value):
    """A stage's end, taken over from the run that this one reruns."""

    outcome: Outcome
    outputs: dict[str, str] = Field(default_factory=dict)
    blocked: bool = False


class Occurred(Value):
    at: datetime


class RunCreated(Occurred):
    """``plan`` is None when the pipeline file is broken or missing; ``problems`` and ``reason`` say how.

    ``held_by``: the runs of the same concurrency group that must end first. ``carried``: stages taken over by a rerun.
    ``proposal``: what a pull request would change of the pipeline file, None: nothing.
    """

    kind: Literal["run_created"] = "run_created"
    run: str
    trigger: str
    delivery: str = ""
    project: str
    change: Change
    plan: Plan | None
    problems: tuple[ConfigProblem, ...] = ()
    reason: str = ""
    requested_by: str = ""
    rerun_of: str = ""
    rerun_mode: str = ""
    carried: dict[str, Carried] = Field(default_factory=dict)
    held_by: tuple[str, ...] = ()
    timing: Timing = Timing()
    proposal: Proposal | None = None


class RunReleased(Occurred):
    kind: Literal["run_released"] = "run_released"
    reason: str


class StageSkipped(Occurred):
    """``because``: ``when`` (the stages after it go on) or ``needs``, ``halted``, ``cancelled`` (they don't)."""

    kind: Literal["stage_skipped"] = "stage_skipped"
    stage: str
    because: Literal["when", "needs", "halted", "cancelled", "overtaken"]
    reason: str


class ApprovalRequested(Occurred):
    kind: Literal["approval_requested"] = "approval_requested"
    stage: str
    expires_at: datetime


class StageApproved(Occurred):
    """``complete``: nobody else needs to agree."""

    kind: Literal["stage_approved"] = "stage_approved"
    stage: str
    by: str
    comment: str = ""
    complete: bool


class StageRejected(Occurred):
    """``expired``: nobody answered in time."""

    kind: Literal["stage_rejected"] = "stage_rejected"
    stage: str
    by: str
    comment: str = ""
    expired: bool = False


class EnvironmentAwaited(Occurred):
    """The stage could start, but another deploy is at its environment, or at one that must be held together with it.

    ``held_by``: the run that has it, or whose turn it is; empty: another stage of this run. Recorded again when that
    changes.
    """

    kind: Literal["environment_awaited"] = "environment_awaited"
    stage: str
    environment: str
    held_by: str = ""


class StageStarted(Occurred):
    kind: Literal["stage_started"] = "stage_started"
    stage: str


class AttemptLaunched(Occurred):
    kind: Literal["attempt_launched"] = "attempt_launched"
    stage: str
    task: str
    attempt: str
    number: int
    launch_deadline: datetime


class AttemptStarted(Occurred):
    """``deadline``: when the orchestrator gives the attempt up by itself."""

    kind: Literal["attempt_started"] = "attempt_started"
    task: str
    attempt: str
    worker: str
    sandbox: str = ""
    deadline: datetime


class CancelOrdered(Occurred):
    """The attempt was told to stop. ``give_up_at``: from then on it counts as cancelled even if it never answers."""

    kind: Literal["cancel_ordered"] = "cancel_ordered"
    task: str
    attempt: str
    reason: str
    give_up_at: datetime


class AttemptFinished(Occurred):
    """``by``: who says so: the ``agent``; the orchestrator since the ``launch`` deadline, the ``lease``, the
    ``timeout`` or the ``cancel`` grace has passed; or the ``runtime`` of its job, which has ended without a word.
    ``lease_until``: where the lease has passed, its end; None: recorded before that was."""

    kind: Literal["attempt_finished"] = "attempt_finished"
    task: str
    attempt: str
    by: EndedBy
    result: Result
    lease_until: datetime | None = None


class RetryScheduled(Occurred):
    kind: Literal["retry_scheduled"] = "retry_scheduled"
    task: str
    number: int
    budget: Literal["pipeline", "infrastructure"]
    due_at: datetime
    reason: str


class TaskFinished(Occurred):
    kind: Literal["task_finished"] = "task_finished"
    task: str
    outcome: Outcome
    reason: str = ""


class StageFinished(Occurred):
    """``allowed``: it did not succeed, and the pipeline file says that this is no harm."""

    kind: Literal["stage_finished"] = "stage_finished"
    stage: str
    outcome: Outcome
    allowed: bool = False
    reason: str = ""


class RollbackStarted(Occurred):
    """What ``stage`` deployed in this run is undone. ``because``: the stage that failed for good and asks for it."""

    kind: Literal["rollback_started"] = "rollback_started"
    stage: str
    because: str
    reason: str = ""


class RollbackFinished(Occurred):
    """``outcome``: anything but success leaves the environment as nobody knows how."""

    kind: Literal["rollback_finished"] = "rollback_finished"
    stage: str
    outcome: Outcome
    reason: str = ""


class RunHalted(Occurred):
    """A stage failed for good: nothing new starts, and what runs beside it is cancelled."""

    kind: Literal["run_halted"] = "run_halted"
    stage: str
    outcome: Outcome
    reason: str


class CancelRequested(Occurred):
    """``superseded_by``: the newer run, empty when a person asked."""

    kind: Literal["cancel_requested"] = "cancel_requested"
    by: str
    reason: str = ""
    superseded_by: str = ""


class MessageIgnored(Occurred):
    """A message that changed nothing, and why. ``stage``: the one that it was about, where there is one."""

    kind: Literal["message_ignored"] = "message_ignored"
    message: str
    attempt: str = ""
    stage: str = ""
    by: str = ""
    reason: str


class RunFinished(Occurred):
    kind: Literal["run_finished"] = "run_finished"
    outcome: Outcome
    reason: str = ""


Event = Annotated[
    RunCreated
    | RunReleased
    | StageSkipped
    | ApprovalRequested
    | StageApproved
    | StageRejected
    | EnvironmentAwaited
    | StageStarted
    | AttemptLaunched
    | AttemptStarted
    | CancelOrdered
    | AttemptFinished
    | RetryScheduled
    | TaskFinished
    | StageFinished
    | RollbackStarted
    | RollbackFinished
    | RunHalted
    | CancelRequested
    | MessageIgnored
    | RunFinished,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def dump(event: Event) -> str:
    """JSON text, for the event table."""
    return event.model_dump_json()


def load(text: str | bytes | dict[str, Any]) -> Event:
    """The inverse of `dump`. Fields that this version does not know are dropped; the stored text keeps them.

    Raises: Newer for a kind that it does not know; pydantic.ValidationError for anything else.
    """
    try:
        if isinstance(text, dict):
            return _ADAPTER.validate_python(text, extra="ignore")
        return _ADAPTER.validate_json(text, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] != "union_tag_invalid":
            raise
        raise Newer(
            f"this version knows no event {str(first['ctx']['tag'])[:80]!r}",
            "a newer Turnout has recorded it, and one has to take what follows: finish the update",
        ) from error
