"""What a person does on a page: approve, reject, cancel, run again. `turnout.acting` checks, records and does it."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse

from turnout.acting import Acting
from turnout.console.identity.telling import actor
from turnout.console.pages.asking import Look, Who, run_for
from turnout.core.access import Role, Viewer, role_to_decide
from turnout.core.policy import may_approve
from turnout.core.run import Run, StageStatus

router = APIRouter()


async def form(request: Request) -> dict[str, str]:
    """The fields of a form; of one that is given twice, the last."""
    body = (await request.body()).decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(body, max_num_fields=100).items()}


Form = Annotated[dict[str, str], Depends(form)]


def acting(request: Request) -> Acting:
    found: Acting = request.app.state.wiring.acting
    return found


Act = Annotated[Acting, Depends(acting)]


def may_decide(act: Acting, who: Viewer, run: Run) -> frozenset[str]:
    """The waiting stages whose approval they are offered; whose teams count is found out when they give it."""
    return frozenset(
        name
        for name, stage in run.stages.items()
        if stage.status is StageStatus.WAITING and _offered(act, who, run, name)
    )


def _offered(act: Acting, who: Viewer, run: Run, stage: str) -> bool:
    approval = run.planned(stage).approval
    allowed = approval.by if approval else ()
    if not allowed:
        return who.may(role_to_decide(stated=act.identity.stated(run.project)), run.project)
    teams = tuple(each for each in allowed if "/" in each)
    return may_approve(allowed, who.name, teams)


@router.post("/runs/{run}/{verb}")
def decide(
    request: Request,
    run: str,
    verb: Literal["approve", "reject", "cancel", "rerun"],
    who: Who,
    look: Look,
    act: Act,
    given: Form,
) -> RedirectResponse:
    state, by = run_for(who, look, run), actor(request, who)
    stage, comment = given.get("stage", ""), given.get("comment", "")[:500]
    match verb:
        case "approve" | "reject":
            act.decide(by, verb, state, stage, comment)
        case "cancel":
            act.cancel(by, state, comment)
        case "rerun":
            new = act.rerun(by, state, failed=bool(given.get("failed")), stage=stage)
            return RedirectResponse(f"/runs/{new}?coming=1", 303)
    return RedirectResponse(f"/runs/{state.id}", 303)


def may_operate(who: Viewer) -> bool:
    """Whether dead letters are theirs to handle."""
    return who.may(Role.ADMIN)
