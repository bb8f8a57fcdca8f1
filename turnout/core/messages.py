"""What travels in envelopes: one model a type. `parse` is the only way in.

Commands from outside come over ``pipeline.events``, tasks go out over ``agent.<kind>``, answers come
back over ``agent.results``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from turnout.core import tracing
from turnout.core.change import Change
from turnout.core.dsse import Attested
from turnout.core.envelope import Envelope
from turnout.core.errors import InvalidEnvelope
from turnout.core.ids import run_id
from turnout.core.model import Runtime, Value
from turnout.core.plan import CheckoutOptions, Resources
from turnout.core.quoting import quoted
from turnout.core.result import FailedCase, Result, Tests

LONGEST_TIMEOUT = 31 * 24 * 3600.0
"""Seconds; a pipeline file can ask for a day less."""


def _on_the_calendar(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("no year of ours") from error


Instant = Annotated[AwareDatetime, AfterValidator(_on_the_calendar)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,119}$")]
"""Of a run or an attempt. Files and folders are called by it, so it can be no path."""


class Message(Value):
    type: ClassVar[str]


class RunRequested(Message):
    """A change asks for a run. ``delivery`` is the webhook delivery that brought it, empty: none did.

    ``trigger`` is the envelope id (`turnout.core.ids.delivery_message_id` or `message_id`), from which
    the run id is derived. ``reason`` is why the trigger's sender already knows that nothing is to run
    (``[skip ci]``, a deleted branch); the orchestrator only records it.
    """

    type: ClassVar[str] = "turnout.run.requested"
    trigger: str
    change: Change
    delivery: str = ""
    requested_by: str = ""
    pipeline_file: str = ""
    reason: str = ""


class CancelRun(Message):
    type: ClassVar[str] = "turnout.run.cancel"
    run: Id
    by: str
    reason: str = ""


class SupersedeRun(Message):
    """A newer run of the same concurrency group has been created."""

    type: ClassVar[str] = "turnout.run.supersede"
    run: Id
    newer: Id


class ReleaseRun(Message):
    """The run that this one waited for (same concurrency group) has ended."""

    type: ClassVar[str] = "turnout.run.release"
    run: Id
    after: Id


class EnvironmentFree(Message):
    """The run before this one has given back an environment, or waits for it no more: it is this one's turn."""

    type: ClassVar[str] = "turnout.run.environment"
    run: Id
    environment: str
    after: Id


class RerunRun(Message):
    """A new run with the same plan: ``whole``, ``failed`` (from the failed stages on) or one ``stage``.

    ``delivery``: the one that asked for it, empty: none did.
    """

    type: ClassVar[str] = "turnout.run.rerun"
    run: Id
    trigger: str
    mode: Literal["whole", "failed", "stage"]
    by: str
    stage: str = ""
    delivery: str = ""


class Approve(Message):
    """``teams``: the teams the person belongs to, as ``@org/team``, checked by the sender of the message."""

    type: ClassVar[str] = "turnout.run.approve"
    run: Id
    stage: str
    by: str
    teams: tuple[str, ...] = ()
    comment: str = ""


class Reject(Message):
    type: ClassVar[str] = "turnout.run.reject"
    run: Id
    stage: str
    by: str
    teams: tuple[str, ...] = ()
    comment: str = ""


class FromAttempt(Message):
    """``token``: HMAC of the attempt id by the server's key. ``worker`` names the process that speaks."""

    run: Id
    task: str
    attempt: Id
    token: str
    worker: str = ""


class TaskStarted(FromAttempt):
    type: ClassVar[str] = "turnout.task.started"
    at: Instant
    sandbox: str = ""


class TaskHeartbeat(FromAttempt):
    type: ClassVar[str] = "turnout.task.heartbeat"
    at: Instant


class TaskFinished(FromAttempt):
    type: ClassVar[str] = "turnout.task.finished"
    at: Instant
    result: Result


class Checkout(Value):
    """What the agent checks out: exactly ``sha``. ``ref`` only helps servers that refuse bare commits."""

    repository: str
    clone_url: str
    sha: str
    ref: str
    branch: str = ""
    tag: str = ""
    options: CheckoutOptions = CheckoutOptions()


class Baseline(Value):
    """Where the last report of findings on ``branch`` is kept: its artifact ``key``. ``keeps``: this task's report
    takes its place."""

    key: str
    branch: str
    keeps: bool = False


class TaskRequested(Message):
    """One attempt, handed to an agent.

    ``upstream``: outputs of the stages this one needs, by stage. ``previous_failed``: the cases that failed
    in the attempt before this one, ``previous_tests``: its counts, without the cases. ``timeout`` and ``heartbeat``
    (how often one is expected) in seconds.
    ``secrets`` are names; their values never travel over the bus. ``baseline``: what findings are compared with, None:
    with nothing. ``rollback``: undo what this stage deployed in this run; what it gave is in ``upstream`` under its own
    name. ``attested``: what its environment asks of an image, None: nothing.
    """

    type: ClassVar[str] = "turnout.task.requested"
    run: Id
    project: str
    stage: str
    task: str
    agent: str
    attempt: Id
    number: Annotated[int, Field(ge=1)]
    token: str
    checkout: Checkout
    options: dict[str, Any] = Field(default_factory=dict)
    cell: dict[str, str] = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    environment: str = ""
    upstream: dict[str, dict[str, str]] = Field(default_factory=dict)
    previous_failed: tuple[FailedCase, ...] = ()
    previous_tests: Tests | None = None
    timeout: Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT)]
    heartbeat: Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT)]
    runtime: Runtime = Runtime.PROCESS
    resources: Resources = Resources()
    network: bool = False
    trusted: bool = True
    baseline: Baseline | None = None
    rollback: bool = False
    attested: Attested | None = None


class CancelTask(Message):
    """Stop an attempt. Goes over the same topic and key as the attempt's `TaskRequested`."""

    type: ClassVar[str] = "turnout.task.cancel"
    run: Id
    task: str
    agent: str
    attempt: Id
    reason: str


class LogChunk(Message):
    """``sequence`` counts the chunks of an attempt from 0; ``text`` is masked already."""

    type: ClassVar[str] = "turnout.log.chunk"
    run: Id
    task: str
    attempt: Id
    sequence: int
    at: Instant
    text: str


class ReportRequested(Message):
    """Something happened that people may want to hear of; the reporter reads the run from the store.

    ``fact`` is unique within the run: ``started``, ``running:<stage>``, ``stage:<stage>`` (a stage ended),
    ``rollback:<stage>``, ``rolled_back:<stage>`` (what it deployed is being undone, or was),
    ``attempt:<id>`` (an attempt failed and will be tried again), ``approval:<stage>`` (a stage waits for people),
    ``approved:<stage>:<person>`` (one of them has agreed, and others have to),
    ``finished``.
    ``version`` is the run's version that holds the fact.
    """

    type: ClassVar[str] = "turnout.report.requested"
    run: Id
    version: int
    fact: str
    project: str


ALL: tuple[type[Message], ...] = (
    RunRequested,
    CancelRun,
    SupersedeRun,
    ReleaseRun,
    EnvironmentFree,
    RerunRun,
    Approve,
    Reject,
    TaskStarted,
    TaskHeartbeat,
    TaskFinished,
    TaskRequested,
    CancelTask,
    LogChunk,
    ReportRequested,
)
_BY_TYPE = {each.type: each for each in ALL}


def parse(envelope: Envelope) -> Message:
    """The message in an envelope. Fields that this version does not know are dropped: a newer one may have sent it.

    An unknown type is refused for good all the same: whoever could write to a topic would hold it up for ever.

    Raises: InvalidEnvelope naming the field, what it got and what was expected.
    """
    model = _BY_TYPE.get(envelope.type)
    if model is None:
        raise InvalidEnvelope(
            f"type: got {envelope.type[:80]!r}, expected one of {', '.join(sorted(_BY_TYPE))}"
        )
    try:
        return model.model_validate(envelope.data, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(_step(part) for part in ("data", *first["loc"]))
        # where a field is missing, what it "got" is the whole message, with an attempt's token perhaps
        got = "" if first["type"] == "missing" else f", got {quoted(first['input'])}"
        raise InvalidEnvelope(f"{path}: {first['msg']}{got}") from error


def _step(part: str | int) -> str:
    """A key that somebody else chose, on one line."""
    text = str(part)[:80]
    return text if text.isprintable() else ascii(text)


def wrap(message: Message, *, id: str, source: str, at: datetime) -> Envelope:
    """``id`` must be derived from what caused the message (`turnout.core.ids.message_id`)."""
    placed = {tracing.TRACEPARENT: str(_place(message))}
    return Envelope(
        id=id, type=message.type, source=source, data=message.to_json(), time=at, extensions=placed
    )


def _place(message: Message) -> tracing.Place:
    """The attempt that it is about; else the run, which a trigger is yet to make."""
    run: str = getattr(message, "run", "")
    if attempt := getattr(message, "attempt", ""):
        return tracing.of_attempt(run, attempt)
    trigger = getattr(message, "trigger", "")
    return tracing.of_run(run_id(trigger) if trigger else run)
