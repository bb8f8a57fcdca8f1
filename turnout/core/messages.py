"""What travels in envelopes: one model a type. `parse` is the only way in.

Commands from outside come over ``pipeline.events``, tasks go out over ``agent.<kind>``, answers come
back over ``agent.results``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError

from turnout.core.change import Change
from turnout.core.envelope import Envelope
from turnout.core.errors import InvalidEnvelope
from turnout.core.model import Runtime, Value
from turnout.core.plan import Resources
from turnout.core.result import FailedCase, Result, Tests


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
    run: str
    by: str
    reason: str = ""


class SupersedeRun(Message):
    """A newer run of the same concurrency group has been created."""

    type: ClassVar[str] = "turnout.run.supersede"
    run: str
    newer: str


class ReleaseRun(Message):
    """The run that this one waited for (same concurrency group) has ended."""

    type: ClassVar[str] = "turnout.run.release"
    run: str
    after: str


class RerunRun(Message):
    """A new run with the same plan: ``whole``, ``failed`` (from the failed stages on) or one ``stage``."""

    type: ClassVar[str] = "turnout.run.rerun"
    run: str
    trigger: str
    mode: Literal["whole", "failed", "stage"]
    by: str
    stage: str = ""


class Approve(Message):
    """``teams``: the teams the person belongs to, as ``@org/team``, checked by the sender of the message."""

    type: ClassVar[str] = "turnout.run.approve"
    run: str
    stage: str
    by: str
    teams: tuple[str, ...] = ()
    comment: str = ""


class Reject(Message):
    type: ClassVar[str] = "turnout.run.reject"
    run: str
    stage: str
    by: str
    teams: tuple[str, ...] = ()
    comment: str = ""


class FromAttempt(Message):
    """``token``: HMAC of the attempt id by the server's key. ``worker`` names the process that speaks."""

    run: str
    task: str
    attempt: str
    token: str
    worker: str = ""


class TaskStarted(FromAttempt):
    type: ClassVar[str] = "turnout.task.started"
    at: datetime
    sandbox: str = ""


class TaskHeartbeat(FromAttempt):
    type: ClassVar[str] = "turnout.task.heartbeat"
    at: datetime


class TaskFinished(FromAttempt):
    type: ClassVar[str] = "turnout.task.finished"
    at: datetime
    result: Result


class Checkout(Value):
    """What the agent checks out: exactly ``sha``. ``ref`` only helps servers that refuse bare commits."""

    repository: str
    clone_url: str
    sha: str
    ref: str
    branch: str = ""
    tag: str = ""


class TaskRequested(Message):
    """One attempt, handed to an agent.

    ``upstream``: outputs of the stages this one needs, by stage. ``previous_failed``: the cases that failed
    in the attempt before this one, ``previous_tests``: its counts, without the cases. ``timeout`` and ``heartbeat``
    (how often one is expected) in seconds.
    ``secrets`` are names; their values never travel over the bus.
    """

    type: ClassVar[str] = "turnout.task.requested"
    run: str
    project: str
    stage: str
    task: str
    agent: str
    attempt: str
    number: int
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
    timeout: float
    heartbeat: float
    runtime: Runtime = Runtime.PROCESS
    resources: Resources = Resources()
    network: bool = False
    trusted: bool = True


class CancelTask(Message):
    """Stop an attempt. Goes over the same topic and key as the attempt's `TaskRequested`."""

    type: ClassVar[str] = "turnout.task.cancel"
    run: str
    task: str
    agent: str
    attempt: str
    reason: str


class LogChunk(Message):
    """``sequence`` counts the chunks of an attempt from 0; ``text`` is masked already."""

    type: ClassVar[str] = "turnout.log.chunk"
    run: str
    task: str
    attempt: str
    sequence: int
    at: datetime
    text: str


class ReportRequested(Message):
    """Something happened that people may want to hear of; the reporter reads the run from the store.

    ``fact`` is unique within the run: ``started``, ``running:<stage>``, ``stage:<stage>`` (a stage ended),
    ``attempt:<id>`` (an attempt failed and will be tried again), ``approval:<stage>`` (a stage waits for people),
    ``finished``.
    ``version`` is the run's version that holds the fact.
    """

    type: ClassVar[str] = "turnout.report.requested"
    run: str
    version: int
    fact: str
    project: str


ALL: tuple[type[Message], ...] = (
    RunRequested,
    CancelRun,
    SupersedeRun,
    ReleaseRun,
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
    """The message in an envelope.

    Raises: InvalidEnvelope naming the field, what it got and what was expected.
    """
    model = _BY_TYPE.get(envelope.type)
    if model is None:
        raise InvalidEnvelope(f"type: got {envelope.type!r}, expected one of {', '.join(sorted(_BY_TYPE))}")
    try:
        return model.model_validate(envelope.data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in ("data", *first["loc"]))
        # where a field is missing, what it "got" is the whole message, with an attempt's token perhaps
        got = "" if first["type"] == "missing" else f", got {str(first['input'])[:80]!r}"
        raise InvalidEnvelope(f"{path}: {first['msg']}{got}") from error


def wrap(message: Message, *, id: str, source: str, at: datetime, **extensions: str) -> Envelope:
    """``id`` must be derived from what caused the message (`turnout.core.ids.message_id`)."""
    return Envelope(
        id=id, type=message.type, source=source, data=message.to_json(), time=at, extensions=dict(extensions)
    )
