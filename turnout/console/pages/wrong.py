"""What people see when something is not there, not theirs, or broken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from turnout.console.identity.telling import tell
from turnout.console.pages.rendering import page
from turnout.core.errors import TurnoutError

if TYPE_CHECKING:
    from turnout.console.problems import Problem

TITLES = {
    401: "Sign in first",
    403: "That is not yours to do",
    404: "There is nothing here",
    409: "Not as things stand",
    422: "That can't be done",
    429: "Too many tries",
    503: "Not just now",
}
DEFECT = "Something of Turnout's is broken"


def wrong(request: Request, problem: Problem, headers: Mapping[str, str]) -> Response:
    try:
        who = tell(request) if problem.status < 500 else None
    except (TurnoutError, HTTPException):  # it is said already
        who = None
    title = TITLES.get(problem.status, DEFECT if problem.status >= 500 else problem.title)
    said = problem.next if not problem.next.startswith("GET /api/") else ""
    made = page(request, "wrong.html", who, problem.status, problem=problem, title=title, next=said)
    made.headers.update(headers)
    return made
