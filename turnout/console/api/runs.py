"""Reading runs: lists, one, its events, why, and how it was."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from turnout.console.api.answers import (
    Attestations,
    EventOfRun,
    Events,
    Explanation,
    LeftFiles,
    Runs,
)
from turnout.console.api.asked import (
    MOST_VERSION,
    Cursor,
    Limit,
    Look,
    SeenRun,
    Stage,
    Who,
    entity_tag,
    errors,
    known,
)
from turnout.core.access import Role
from turnout.core.model import Outcome
from turnout.core.ports import RunFilter
from turnout.core.run import Run, RunStatus, dump

router = APIRouter(tags=["runs"])
Text = Annotated[str, Query(max_length=300)]


@router.get(
    "/runs",
    operation_id="list_runs",
    summary="Runs, newest first",
    response_model=Runs,
    responses=errors(),
)
def runs(
    who: Who,
    looking: Look,
    project: Text = "",
    branch: Text = "",
    outcome: Outcome | None = None,
    status: RunStatus | None = None,
    person: Annotated[str, Query(max_length=300, description="The change's author.")] = "",
    named: Annotated[
        str,
        Query(max_length=300, description="What the command line takes for RUN; nothing else counts then."),
    ] = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Runs:
    """Empty filters let everything through. Of projects that you may not see there is nothing in it, so that a page may
    have fewer rows than asked for."""
    if named:
        found = looking.named(named)
        return Runs(items=[row for row in found if who.may(Role.VIEWER, row.project)], next="")
    wanted = RunFilter(
        project=project,
        branch=branch,
        outcome=outcome.value if outcome else "",
        status=status.value if status else "",
        person=person,
    )
    page = looking.runs(wanted, cursor=cursor, limit=limit)
    return Runs(items=[row for row in page.items if who.may(Role.VIEWER, row.project)], next=page.next)


@router.get(
    "/runs/{run}",
    operation_id="read_run",
    summary="One run: its plan, stages, attempts and results",
    response_model=Run,
    responses={304: {"description": "It is as `If-None-Match` says."}, **errors()},
)
def run(request: Request, run: SeenRun) -> Response:
    """`ETag` changes with every event of the run."""
    tag = entity_tag(run.id, run.version)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if known(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(dump(run), headers=headers, media_type="application/json")


@router.get(
    "/runs/{run}/events",
    operation_id="list_events",
    summary="Everything that happened in a run, in order",
    response_model=Events,
    responses=errors(),
)
def events(
    run: SeenRun,
    looking: Look,
    after: Annotated[int, Query(ge=0, le=MOST_VERSION, description="Only later versions.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> Events:
    found = looking.events(run.id, after)
    items = [EventOfRun.of(each) for each in found[:limit]]
    more = len(found) > limit
    return Events(items=items, next=items[-1].version if more else 0, finished=run.finished and not more)


@router.get(
    "/runs/{run}/at/{version}",
    operation_id="read_run_at",
    summary="A run as it was after so many of its events",
    response_model=Run,
    responses=errors(),
)
def at(run: SeenRun, version: Annotated[int, Path(ge=1, le=MOST_VERSION)], looking: Look) -> Response:
    """Rebuilt from the recorded events by the code that runs in production. It never changes."""
    headers = {"ETag": entity_tag(run.id, version), "Cache-Control": "private, max-age=3600"}
    return Response(dump(looking.at(run.id, version)), headers=headers, media_type="application/json")


@router.get(
    "/runs/{run}/explanation",
    operation_id="explain_run",
    summary="Why a run, or one of its stages, went as it did",
    response_model=Explanation,
    responses=errors(),
)
def explanation(run: SeenRun, looking: Look, stage: Stage = "") -> Explanation:
    """Each cause names its event, the rule that decided, the values that the rule saw, and what would flip it."""
    return Explanation(
        sentences=list(looking.explain(run.id, stage)), causes=list(looking.why(run.id, stage))
    )


@router.get(
    "/runs/{run}/attestations",
    operation_id="list_attestations",
    summary="What is attested of a run's results",
    response_model=Attestations,
    responses=errors(),
)
def attestations(run: SeenRun, looking: Look, stage: Stage = "") -> Attestations:
    return Attestations(items=[each.to_json() for each in looking.signed(run.id, stage)])


@router.get(
    "/runs/{run}/artifacts",
    operation_id="list_artifacts",
    summary="The files that a run's attempts left behind",
    response_model=LeftFiles,
    responses=errors(),
)
def files(run: SeenRun, looking: Look) -> LeftFiles:
    return LeftFiles(items=list(looking.files(run.id)))
