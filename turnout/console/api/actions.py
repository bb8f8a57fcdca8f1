"""Changing something: every operation here is one call of `turnout.acting`, which asks who may and writes it down."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from turnout.acting import Actor
from turnout.console.api.asked import Look, Parts, SeenProject, SeenRun, SeesAll, Who, errors
from turnout.console.identity import allowed
from turnout.console.identity.telling import address
from turnout.core.access import Role
from turnout.core.dead_letters import DeadLetter
from turnout.core.errors import NotFound
from turnout.looking import Looking

router = APIRouter(tags=["actions"])
LONGEST = 500

Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        description="Of your choice; what you ask for again with the same one is done once.",
    ),
]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Cancel(_Asked):
    reason: str = Field(default="", max_length=LONGEST, description="Recorded with the run.")


class Rerun(_Asked):
    """The whole run, unless it says otherwise; not both."""

    failed: bool = Field(default=False, description="From the failed stages on.")
    stage: str = Field(default="", max_length=200, description="Only this stage.")


class Decision(_Asked):
    stage: str = Field(min_length=1, max_length=200, description="The stage that waits.")
    comment: str = Field(default="", max_length=LONGEST, description="Recorded with the decision.")


class Start(_Asked):
    branch: str = Field(default="", max_length=200, description="Empty: the project's default branch.")


class Which(_Asked):
    """``ids``: those of `list_dead_letters`; none: all that are open."""

    ids: list[Annotated[str, Field(max_length=100)]] = Field(default_factory=list, max_length=10_000)


class Asked(BaseModel):
    """It is on its way; the run's events tell what becomes of it."""

    run: str = Field(description="The run that it is about, or that it makes.")
    asked: Literal["cancel", "rerun", "approve", "reject", "start"]


class Done(BaseModel):
    taken: int = Field(description="How many letters.")
    left: int = Field(description="How many of those asked for could not be taken.")


def by(request: Request, who: Who, key: Key = "") -> Actor:
    return Actor(who, address(request), key)


By = Annotated[Actor, Depends(by)]


@router.post(
    "/runs/{run}/cancel",
    operation_id="cancel_run",
    summary="Stop a run",
    status_code=202,
    response_model=Asked,
    responses=errors(409, 413),
)
def cancel(run: SeenRun, by: By, parts: Parts, body: Annotated[Cancel, Body()]) -> Asked:
    parts.acting.cancel(by, run, body.reason)
    return Asked(run=run.id, asked="cancel")


@router.post(
    "/runs/{run}/rerun",
    operation_id="rerun_run",
    summary="Run a run's plan again, in a new run",
    status_code=202,
    response_model=Asked,
    responses=errors(409, 413),
)
def rerun(run: SeenRun, by: By, parts: Parts, body: Annotated[Rerun, Body()]) -> Asked:
    new = parts.acting.rerun(by, run, failed=body.failed, stage=body.stage)
    return Asked(run=new, asked="rerun")


@router.post(
    "/runs/{run}/approve",
    operation_id="approve_stage",
    summary="Approve a stage that waits for people",
    status_code=202,
    response_model=Asked,
    responses=errors(409, 413),
)
def approve(run: SeenRun, by: By, parts: Parts, body: Annotated[Decision, Body()]) -> Asked:
    parts.acting.decide(by, "approve", run, body.stage, body.comment)
    return Asked(run=run.id, asked="approve")


@router.post(
    "/runs/{run}/reject",
    operation_id="reject_stage",
    summary="Reject a stage that waits for people",
    status_code=202,
    response_model=Asked,
    responses=errors(409, 413),
)
def reject(run: SeenRun, by: By, parts: Parts, body: Annotated[Decision, Body()]) -> Asked:
    parts.acting.decide(by, "reject", run, body.stage, body.comment)
    return Asked(run=run.id, asked="reject")


@router.post(
    "/projects/{owner}/{name}/runs",
    operation_id="start_run",
    summary="Run a project's pipeline at the newest commit of a branch",
    status_code=202,
    response_model=Asked,
    responses=errors(409, 413),
)
def start(project: SeenProject, by: By, parts: Parts, body: Annotated[Start, Body()]) -> Asked:
    """As a change of kind `manual`."""
    allowed(by.viewer, Role.OPERATOR, project)  # before a remote is asked for anything
    change = parts.starting.change(project, body.branch, by.viewer.name)
    return Asked(run=parts.acting.start(by, change), asked="start")


@router.post(
    "/dead-letters/retry",
    operation_id="retry_dead_letters",
    summary="Put dead letters back where they came from",
    response_model=Done,
    responses=errors(413),
)
def retry(_: SeesAll, by: By, parts: Parts, looking: Look, body: Annotated[Which, Body()]) -> Done:
    letters = _letters(looking, body)
    taken = parts.acting.retry_letters(by, letters)
    return Done(taken=taken, left=len(letters) - taken)


@router.post(
    "/dead-letters/discard",
    operation_id="discard_dead_letters",
    summary="Give dead letters up for good",
    response_model=Done,
    responses=errors(413),
)
def discard(_: SeesAll, by: By, parts: Parts, looking: Look, body: Annotated[Which, Body()]) -> Done:
    letters = _letters(looking, body)
    taken = parts.acting.discard_letters(by, letters)
    return Done(taken=taken, left=len(letters) - taken)


def _letters(looking: Looking, which: Which) -> tuple[DeadLetter, ...]:
    """Raises: NotFound for one that is not open."""
    found = {each.id: each for each in looking.letters()}
    for id in which.ids:
        if id not in found:
            raise NotFound(f"no dead letter {id!r} is open", "list them again: somebody was faster, perhaps")
    return tuple(found[id] for id in dict.fromkeys(which.ids)) if which.ids else tuple(found.values())
