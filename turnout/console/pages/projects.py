"""Projects: how each does, over the last days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from turnout.console.identity import allowed
from turnout.console.pages import charts
from turnout.console.pages.asking import Look, Who
from turnout.console.pages.lights import duration, outcome_light
from turnout.console.pages.rendering import page
from turnout.core.access import Role
from turnout.core.errors import NotFound
from turnout.core.figures import ProjectFigures
from turnout.core.ports import RunFilter

router = APIRouter()
SPANS = (7, 14, 30, 90)
"""Days that a person may choose."""
NEWEST = 8


@router.get("/projects")
def projects(request: Request, who: Who, look: Look) -> HTMLResponse:
    found = [each for each in look.projects() if who.may(Role.VIEWER, each.name)]
    rows = [
        (
            each,
            outcome_light(each.last.outcome, each.last.status) if each.last else None,
            look.project(each.name),
        )
        for each in found
    ]
    return page(request, "projects.html", who, rows=rows)


@router.get("/projects/{project:path}")
def project(request: Request, project: str, who: Who, look: Look, days: int = 30) -> HTMLResponse:
    allowed(who, Role.VIEWER, project)
    span = days if days in SPANS else 30
    newest = look.runs(RunFilter(project=project), limit=NEWEST).items
    if not newest:
        raise NotFound(f"project {project} has no runs", "push to it, or `turnout run` in its folder")
    figures = look.project(project, (datetime.now(UTC) - timedelta(days=span - 1)).date())
    return page(
        request,
        "project.html",
        who,
        project=project,
        figures=figures,
        days=span,
        spans=SPANS,
        charts=_charts(figures),
        newest=[(row, outcome_light(row.outcome, row.status)) for row in newest],
    )


def _charts(figures: ProjectFigures) -> list[charts.Chart]:
    s, since, until = figures.series, figures.since, figures.until

    def points(name: str) -> charts.Points:
        return s.get(name, ())

    known = [value for _, value in points("coverage")]
    least = min(min(known) // 20 * 20, 80.0) if known else 0.0
    return [
        charts.lines(
            "Success rate", [("passed", "success", points("success_rate"))], since, until, _percent, most=1.0
        ),
        charts.bars("Runs a day", "runs", points("runs"), since, until, _count),
        charts.lines(
            "Duration",
            [
                ("half take at most", "running", points("duration_p50")),
                ("19 of 20", "error", points("duration_p95")),
            ],
            since,
            until,
            duration,
            steps=charts.SECONDS,
        ),
        charts.lines(
            "Queue time",
            [
                ("half wait at most", "running", points("queue_p50")),
                ("19 of 20", "error", points("queue_p95")),
            ],
            since,
            until,
            duration,
            steps=charts.SECONDS,
        ),
        charts.lines(
            f"Coverage on {figures.branch}" if figures.branch else "Coverage",
            [("lines covered", "success", points("coverage"))],
            since,
            until,
            lambda value: f"{value:.1f} %",
            most=100.0,
            least=least,
        ),
        charts.lines(
            f"Vulnerabilities on {figures.branch}" if figures.branch else "Vulnerabilities",
            [
                (severity, tone, points(f"vulnerabilities_{severity}"))
                for severity, tone in (
                    ("critical", "failure"),
                    ("high", "waiting"),
                    ("medium", "retrying"),
                    ("low", "idle"),
                )
            ],
            since,
            until,
            _count,
        ),
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _count(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"
