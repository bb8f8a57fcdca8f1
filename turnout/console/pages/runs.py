"""The list of runs, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from turnout.console.pages.asking import Look, Who
from turnout.console.pages.broken import broken
from turnout.console.pages.lights import day_name, ended_light, outcome_light, stage_lights
from turnout.console.pages.live import mark_of
from turnout.console.pages.rendering import link, page
from turnout.core.access import Role, Viewer
from turnout.core.ports import RunFilter, RunRow
from turnout.core.run import Run, RunStatus, StageStatus
from turnout.looking import Looking
from turnout.planning import Known
from turnout.reporting.view import Light

router = APIRouter()
SHOWN = 40
STATES = (
    ("", "any"),
    ("running", "running"),
    ("queued", "queued"),
    ("success", "passed"),
    ("failure", "failed"),
    ("error", "error"),
    ("timed_out", "timed out"),
    ("cancelled", "cancelled"),
)
"""What the filter offers: a status while it goes on, an outcome after."""
OPEN = tuple(status.value for status in RunStatus if status is not RunStatus.FINISHED)
MOST_OPEN = 20
"""Runs under way that are looked into for what waits for a person."""
MOST_STRIPS = 4000
Strip = tuple[tuple[str, Light], ...]


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A run of the list. ``strip``: its stages and their lights. ``seconds``: until now where it goes on."""

    row: RunRow
    light: Light
    strip: Strip
    seconds: float


@router.get("/")
def home() -> RedirectResponse:
    return RedirectResponse("/runs")


@router.get("/runs")
def runs(
    request: Request,
    who: Who,
    look: Look,
    project: str = "",
    branch: str = "",
    person: str = "",
    state: str = "",
    after: str = "",
) -> HTMLResponse:
    outcome, status = ("", state) if state in OPEN else (state, "")
    wanted = RunFilter(
        project=project.strip(), branch=branch.strip(), person=person.strip(), outcome=outcome, status=status
    )
    now = datetime.now(UTC)
    live = mark_of(request)  # taken before the list is read: nothing falls in between
    found = look.runs(wanted, cursor=after, limit=SHOWN)
    rows = [row for row in found.items if who.may(Role.VIEWER, row.project)]
    open_runs = {run.id: run for run in _open(look, who)}
    strips = _ended_strips(request, look, [row.id for row in rows if row.finished_at])
    shown = [_shown(row, strips.get(row.id, ()), open_runs.get(row.id), now) for row in rows]
    query = {"project": project, "branch": branch, "person": person, "state": state}
    return page(
        request,
        "runs.html",
        who,
        wanted=wanted,
        state=state,
        states=STATES,
        filtered=any(query.values()),
        query=query,
        days=[
            (day, list(each)) for day, each in groupby(shown, lambda row: day_name(row.row.created_at, now))
        ],
        next=found.next,
        broken=broken(rows) if not after and not any(query.values()) else [],
        projects=sorted({row.project for row in rows}),
        attention=list(_attention(open_runs.values())) if not after and not any(query.values()) else [],
        here=link("/runs", **query, after=after),
        live=link("/live/runs", after=live),
        now=now,
    )


def _open(look: Looking, who: Viewer) -> Iterator[Run]:
    for row in look.runs(RunFilter(status=RunStatus.RUNNING.value), limit=MOST_OPEN).items:
        if who.may(Role.VIEWER, row.project):
            yield look.run(row.id)


def _attention(runs: Iterable[Run]) -> Iterator[tuple[Run, str]]:
    for run in runs:
        for stage in run.stages.values():
            if stage.status is StageStatus.WAITING:
                yield run, stage.name


def _shown(row: RunRow, strip: Strip, run: Run | None, now: datetime) -> ShownRow:
    if run is not None:
        strip = tuple(stage_lights(run).items())
        light = Light.WAITING if any(each is Light.WAITING for _, each in strip) else Light.RUNNING
    else:
        light = outcome_light(row.outcome, row.status)
    return ShownRow(row, light, strip, ((row.finished_at or now) - row.created_at).total_seconds())


def _ended_strips(request: Request, look: Looking, runs: Sequence[str]) -> Mapping[str, Strip]:
    """Ended runs never change: they are read once in a process."""
    state = request.app.state
    if not hasattr(state, "strips"):
        state.strips = Known[Strip](MOST_STRIPS)
    known: Known[Strip] = state.strips
    found = {run: strip for run in runs if (strip := known.find(run)) is not None}
    for run, stages in look.stages([run for run in runs if run not in found]).items():
        found[run] = known.keep(run, tuple((name, ended_light(end)) for name, end in stages.items()))
    return found
