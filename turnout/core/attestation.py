"""What is attested: one in-toto statement of each result that counted. Pure: of the same attempt always the same bytes.

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, ValidationError

from turnout.core import events as e
from turnout.core.dsse import IN_TOTO, NotAttested, Signature, Signed, to_base64
from turnout.core.errors import PermanentError
from turnout.core.images import Images
from turnout.core.model import Outcome, Runtime, Value
from turnout.core.outgoing import upstream
from turnout.core.plan import PlannedStage
from turnout.core.result import Artifact, Tests
from turnout.core.run import Run

STATEMENT: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
RESULT: Literal["urn:turnout:attestation:result:v1"] = "urn:turnout:attestation:result:v1"
"""The type of our predicate; docs/attestation.md describes it."""
MAX_NAMED = 50
"""Artifacts that are subjects by themselves; the digest of their list covers all."""

_DIGEST = re.compile(r"(?:(?P<image>.{1,500})@)?sha256:(?P<hex>[0-9a-f]{64})", re.ASCII)
_IMAGE = re.compile(r"(?:[^@\s]+@)?(sha256:[0-9a-f]{64})", re.ASCII)


class _Read(Value):
    """A later Turnout may say more. Built when one is first made or read: not every process does."""

    model_config = ConfigDict(extra="ignore", defer_build=True)


class Descriptor(_Read):
    """``digest``: algorithm to hex."""

    name: str = ""
    digest: dict[str, str]


class Passed(_Read):
    """An image that a stage was given (``stage``: by which) or gave."""

    stage: str
    name: str
    digest: dict[str, str]


class AttemptOf(_Read):
    id: str
    number: int


class Worker(_Read):
    """``image``: that the job ran in; empty where it was launched in none."""

    kind: str
    runtime: str = ""
    image: str = ""
    name: str = ""
    sandbox: str = ""
    tools: dict[str, str] = Field(default_factory=dict)


class Builder(_Read):
    id: str
    version: str = ""


class Predicate(_Read):
    """``artifacts``: how many there are; ``artifacts_digest``: of the list of their names and digests.

    ``tests``, ``findings``: counts. ``rerun_of``: the run that stages were taken over from.
    """

    project: str
    repository: str
    commit: str
    ref: str = ""
    dirty: bool = False
    fork: bool = False
    plan: dict[str, str]
    run: str
    rerun_of: str = Field("", alias="rerunOf")
    stage: str
    task: str
    attempt: AttemptOf
    outcome: Outcome
    agent: Worker
    inputs: tuple[Passed, ...] = ()
    outputs: tuple[Passed, ...] = ()
    artifacts: int = 0
    artifacts_digest: dict[str, str] = Field(default_factory=dict, alias="artifactsDigest")
    tests: dict[str, int] = Field(default_factory=dict)
    findings: dict[str, int] = Field(default_factory=dict)
    started_on: AwareDatetime | None = Field(None, alias="startedOn")
    finished_on: AwareDatetime = Field(alias="finishedOn")
    builder: Builder


class Statement(_Read):
    """``subject``: what the result speaks of: what it gave, the images it was given, the commit."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[tuple[Descriptor, ...], Field(min_length=1)]
    predicate_type: Literal["urn:turnout:attestation:result:v1"] = Field(alias="predicateType")
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes statements. ``images``: those that launched jobs run in."""

    id: str = "turnout"
    version: str = ""
    images: Images = field(default_factory=Images)


@dataclass(frozen=True, slots=True)
class Attestation:
    """A signed statement as it is kept. ``at``: when its attempt ended. ``signature``: in base64.

    ``gave``, ``given``: the images (``sha256:…``) that the stage gave, and was given; they are not read back.
    """

    run: str
    attempt: str
    at: datetime
    keyid: str
    payload: str
    signature: str
    gave: tuple[str, ...] = field(default=(), compare=False)
    given: tuple[str, ...] = field(default=(), compare=False)

    def signed(self) -> Signed:
        return Signed(
            payload=to_base64(self.payload.encode()),
            payload_type=IN_TOTO,
            signatures=(Signature(keyid=self.keyid, sig=self.signature),),
        )


def counted(events: Iterable[e.Event]) -> Iterator[str]:
    """The attempts whose agents' results these events are."""
    return (event.attempt for event in events if isinstance(event, e.AttemptFinished) and event.by == "agent")


def statement(run: Run, attempt: str, maker: Maker) -> Statement:
    """Of an attempt that has ended. Raises: KeyError when the run has no such attempt, or it has not ended."""
    found = run.attempt(attempt)
    if found is None or run.plan is None:
        raise KeyError(attempt)
    stage, task, this = found
    planned, change, result = run.planned(stage.name), run.change, this.result
    if result is None or this.finished_at is None:
        raise KeyError(attempt)
    outputs = tuple(_passed(stage.name, result.outputs))
    needed = upstream(run, planned)
    inputs = tuple(each for name in sorted(needed) for each in _passed(name, needed[name]))
    commit = Descriptor(name=f"git:{change.repository}", digest={"gitCommit": change.sha})
    ordered = sorted(result.artifacts, key=lambda each: (each.name, each.sha256))
    images = {each.digest["sha256"]: each for each in (*inputs, *outputs)}
    subject = (
        *(Descriptor(name=images[digest].name, digest={"sha256": digest}) for digest in sorted(images)),
        *(Descriptor(name=each.name, digest={"sha256": each.sha256}) for each in ordered[:MAX_NAMED]),
        commit,
    )
    return Statement(
        _type=STATEMENT,
        subject=subject,
        predicateType=RESULT,
        predicate=Predicate(
            project=run.project,
            repository=change.repository,
            commit=change.sha,
            ref=change.ref,
            dirty=change.dirty,
            fork=change.fork,
            plan={"sha256": run.plan.digest},
            run=run.id,
            rerunOf=run.rerun_of,
            stage=stage.name,
            task=task.id,
            attempt=AttemptOf(id=this.id, number=this.number),
            outcome=result.outcome,
            agent=Worker(
                kind=planned.agent,
                runtime=planned.runtime.value,
                image=_image(maker.images, planned),
                name=this.worker,
                sandbox=this.sandbox or result.sandbox,
                tools=result.tools,
            ),
            inputs=inputs,
            outputs=outputs,
            artifacts=len(ordered),
            artifactsDigest={"sha256": _list_digest(ordered)} if ordered else {},
            tests=_tests(result.tests),
            findings=dict(result.findings.counts) if result.findings else {},
            startedOn=this.started_at,
            finishedOn=this.finished_at,
            builder=Builder(id=maker.id, version=maker.version),
        ),
    )


def payload(made: Statement) -> str:
    """One value has one form: keys sorted, no spaces."""
    return json.dumps(
        made.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def images_of(passed: Iterable[Passed]) -> tuple[str, ...]:
    """Each once, as ``sha256:…``."""
    return tuple(sorted({f"sha256:{each.digest['sha256']}" for each in passed if "sha256" in each.digest}))


def read_statement(content: bytes) -> Statement:
    """Raises: NotAttested for anything but a statement of ours."""
    try:
        return Statement.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step)[:80] for step in first["loc"])
        raise NotAttested(f"not a statement of Turnout: {where}: {first['msg']}") from error


def image_digest(given: str) -> str:
    """The ``sha256:…`` of an image that is named by it. Raises: PermanentError."""
    found = _IMAGE.fullmatch(given.strip())
    if found is None:
        raise PermanentError(
            f"{given[:200]!r} names no digest", "write it like registry/name@sha256:<64 hex digits>"
        )
    return found[1]


def digests_in(value: Any) -> Iterator[str]:
    """Every ``sha256:…`` in the texts of a value of JSON types."""
    if isinstance(value, str):
        yield from (f"sha256:{found['hex']}" for found in _DIGEST.finditer(value))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from digests_in(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from digests_in(each)


def _passed(stage: str, outputs: Mapping[str, str]) -> Iterator[Passed]:
    """The images among a stage's outputs: ``digest`` beside ``image``, or an image that is named by its digest."""
    for name in sorted(outputs):
        found = _DIGEST.fullmatch(outputs[name])
        if found is not None:
            before, dot, last = name.rpartition(".")
            beside = outputs.get(f"{before}{dot}{last.replace('digest', 'image')}", "")
            shown = found["image"] or (beside if beside != outputs[name] else "") or name
            yield Passed(stage=stage, name=shown, digest={"sha256": found["hex"]})


def _image(images: Images, planned: PlannedStage) -> str:
    if planned.runtime is Runtime.PROCESS:
        return ""
    try:
        return images.of(planned.agent)
    except PermanentError:
        return ""


def _tests(tests: Tests | None) -> dict[str, int]:
    if tests is None:
        return {}
    return {name: getattr(tests, name) for name in ("total", "passed", "failed", "errors", "skipped")}


def _list_digest(artifacts: Iterable[Artifact]) -> str:
    """sha256 (hex) of lines like ``<sha256>  <name>``, as sha256sum writes them."""
    lines = "".join(f"{each.sha256}  {each.name}\n" for each in artifacts)
    return hashlib.sha256(lines.encode("utf-8", "backslashreplace")).hexdigest()
