"""Reading the system around the runs: projects, deliveries, the broker, the ledger."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from turnout.console.api.answers import (
    BrokerNow,
    Deliveries,
    Letter,
    Letters,
    Projects,
)
from turnout.console.api.asked import Cursor, Limit, Look, Parts, SeenProject, SeesAll, Who, errors
from turnout.core.access import EVERYWHERE, Role
from turnout.core.account import Account
from turnout.core.figures import ProjectFigures
from turnout.looking import Page

router = APIRouter(tags=["system"])


@router.get(
    "/projects",
    operation_id="list_projects",
    summary="Projects that have had runs",
    response_model=Projects,
    responses=errors(),
)
def projects(who: Who, looking: Look) -> Projects:
    """Those that you may see."""
    return Projects(items=[each for each in looking.projects() if who.may(Role.VIEWER, each.name)])


@router.get(
    "/projects/{owner}/{name}",
    operation_id="read_project",
    summary="A project's figures: success, durations, queue, flaky tests, trends, DORA's four",
    response_model=ProjectFigures,
    responses=errors(),
)
def project(
    project: SeenProject,
    looking: Look,
    since: Annotated[
        date | None, Query(description="The first day, in UTC; by default 30 days are told.")
    ] = None,
) -> ProjectFigures:
    return looking.project(project, since)


@router.get(
    "/deliveries",
    operation_id="list_deliveries",
    summary="Webhook deliveries, and what became of each",
    response_model=Deliveries,
    responses=errors(),
)
def deliveries(
    who: Who,
    looking: Look,
    repository: Annotated[str, Query(max_length=300, description="Only of this one, as owner/name.")] = "",
    named: Annotated[
        str,
        Query(max_length=300, description="An id, or the beginning of a commit's; nothing else counts then."),
    ] = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Deliveries:
    """Of repositories that you may not see there is nothing in it, so that a page may have fewer than asked for."""
    page = (
        Page(looking.delivered(named))
        if named
        else looking.deliveries(repository=repository, cursor=cursor, limit=limit)
    )
    seen = [each for each in page.items if who.may(Role.VIEWER, each.repository or EVERYWHERE)]
    return Deliveries(items=seen, next=page.next)


@router.get(
    "/broker",
    operation_id="read_broker",
    summary="Lag by group, topic and partition, leases of open attempts, dead letters",
    response_model=BrokerNow,
    responses=errors(),
)
def broker(_: SeesAll, looking: Look) -> BrokerNow:
    return BrokerNow.of(looking.broker())


@router.get(
    "/dead-letters",
    operation_id="list_dead_letters",
    summary="Messages that no function would take, with the reasons",
    response_model=Letters,
    responses=errors(),
)
def letters(_: SeesAll, looking: Look) -> Letters:
    return Letters(items=[Letter.of(each) for each in looking.letters()])


@router.get(
    "/ledger",
    operation_id="read_ledger",
    summary="Every delivery, message, run, attempt and report accounted for, or named",
    response_model=Account,
    responses=errors(),
)
def ledger(
    _: SeesAll,
    parts: Parts,
    since: Annotated[
        AwareDatetime | None,
        Query(description="Rows from then on are counted; by default those of some days."),
    ] = None,
    ask: Annotated[bool, Query(description="Read GitHub's own lists now, however long that takes.")] = False,
) -> Account:
    return parts.auditing.account(since, ask=ask)
