"""What the system does besides runs: agents and broker, deliveries, the ledger."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from turnout.acting import NotNow
from turnout.console.identity import allowed
from turnout.console.identity.telling import actor
from turnout.console.pages.asking import Look, Who
from turnout.console.pages.deciding import Act, Form
from turnout.console.pages.rendering import page
from turnout.core.access import EVERYWHERE, Role
from turnout.core.ports import AttemptRow
from turnout.looking import Lag

router = APIRouter()
SHOWN_BYTES = 2000
"""Of a dead letter's value."""


@dataclass(frozen=True, slots=True)
class TopicLag:
    """``partitions``: how far each is behind, in their order."""

    group: str
    topic: str
    partitions: tuple[int, ...]

    @property
    def behind(self) -> int:
        return sum(self.partitions)


@dataclass(frozen=True, slots=True)
class Working:
    """What an agent kind is at."""

    agent: str
    attempts: tuple[AttemptRow, ...]


@router.get("/agents")
def agents(request: Request, who: Who, look: Look) -> HTMLResponse:
    allowed(who, Role.VIEWER, EVERYWHERE)
    found = look.broker()
    now = datetime.now(UTC)
    return page(
        request,
        "agents.html",
        who,
        lags=_by_topic(found.lags),
        working=_by_agent(found.leases),
        leases=found.leases,
        letters=[(each, each.record.value[:SHOWN_BYTES].decode(errors="replace")) for each in found.letters],
        may_handle=who.may(Role.ADMIN),
        now=now,
    )


@router.post("/agents/letters/{verb}")
def letters(
    request: Request, verb: Literal["retry", "discard"], who: Who, look: Look, act: Act, given: Form
) -> RedirectResponse:
    """The one that the form names, or with ``all`` every one."""
    wanted = given.get("id", "")
    found = [each for each in look.letters() if given.get("all") or each.id == wanted]
    if not found:
        raise NotNow("that dead letter is not there any more", "somebody was faster: look again")
    does = act.retry_letters if verb == "retry" else act.discard_letters
    does(actor(request, who), found)
    return RedirectResponse("/agents#letters", 303)


@router.get("/deliveries")
def deliveries(request: Request, who: Who, look: Look, repository: str = "") -> HTMLResponse:
    found = look.deliveries(repository=repository.strip(), limit=100)
    rows = [each for each in found.items if who.may(Role.VIEWER, each.repository or EVERYWHERE)]
    return page(request, "deliveries.html", who, rows=rows, repository=repository)


@router.get("/ledger")
def ledger(request: Request, who: Who, look: Look) -> HTMLResponse:
    allowed(who, Role.VIEWER, EVERYWHERE)
    return page(request, "ledger.html", who, account=look.ledger())


def _by_topic(lags: tuple[Lag, ...]) -> list[TopicLag]:
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each in lags:
        found[each.group, each.topic].append(each.behind)
    return [TopicLag(group, topic, tuple(behind)) for (group, topic), behind in found.items()]


def _by_agent(leases: tuple[AttemptRow, ...]) -> list[Working]:
    found: dict[str, list[AttemptRow]] = defaultdict(list)
    for each in leases:
        found[each.agent].append(each)
    return [Working(agent, tuple(rows)) for agent, rows in sorted(found.items())]
