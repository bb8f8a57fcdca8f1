"""What the operations of the API are asked with, and what they may answer besides: shared by all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request

from turnout.console.identity import Refused, allowed, viewer
from turnout.console.problems import MEDIA_TYPE
from turnout.core.access import Role, Viewer
from turnout.core.errors import NotFound
from turnout.core.run import Run
from turnout.looking import MOST, Looking
from turnout.wiring import Wiring

MOST_VERSION = 2**31 - 1
RunId = Annotated[
    str,
    Path(
        pattern="^[A-Za-z0-9_-]{1,64}$",
        description="A run's id or the beginning of it, its number, or `latest`.",
        examples=["latest"],
    ),
]
Owner = Annotated[
    str, Path(pattern="^[A-Za-z0-9._-]{1,100}$", description="The first part of the project's name.")
]
Name = Annotated[
    str, Path(pattern="^[A-Za-z0-9._-]{1,100}$", description="The second part of the project's name.")
]
Stage = Annotated[str, Query(max_length=200, description="Only this stage; empty: all.")]
Task = Annotated[str, Query(min_length=1, max_length=500, description="A task's id.")]
Number = Annotated[int, Query(ge=1, le=MOST_VERSION, description="Which attempt at it, from 1.")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most.")]
Cursor = Annotated[
    str, Query(max_length=200, description="`next` of the page before; empty: from the beginning.")
]

_SAID: Mapping[int, str] = {
    400: "It can't be read at all.",
    401: "Nobody has signed in, or the token is not known.",
    403: "The token or the person may not do this; `detail` says what is missing.",
    404: "There is no such thing, or it is not for you.",
    409: "It does not fit the state that the thing is in now.",
    413: "The body is too large.",
    422: "What was sent is not as described; `errors` names everything that is wrong.",
    429: "Too many tokens that were wrong came from there; `Retry-After` says when to come again.",
    503: "Something behind the console is away; try again after `Retry-After` seconds.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How these, and those that every operation has, are described."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    wanted = sorted({401, 403, 404, 422, 429, 503, *statuses})
    return {status: {"description": _SAID[status], "content": content} for status in wanted}


def wiring_of(request: Request) -> Wiring:
    found: Wiring = request.app.state.wiring
    return found


def looking_of(request: Request) -> Looking:
    return wiring_of(request).looking


Who = Annotated[Viewer, Depends(viewer)]
Parts = Annotated[Wiring, Depends(wiring_of)]
Look = Annotated[Looking, Depends(looking_of)]


def seen_run(run: RunId, who: Who, looking: Look) -> Run:
    """The run that the path names, for who may see it. Raises: NotFound, PermanentError."""
    try:
        return looking.run(run, lambda project: who.may(Role.VIEWER, project))
    except NotFound:
        raise NotFound(f"no run {run!r}", "GET /api/v1/runs lists them") from None


def seen_project(owner: Owner, name: Name, who: Who) -> str:
    """``owner/name``, for who may see it. Raises: Refused."""
    project = f"{owner}/{name}"
    allowed(who, Role.VIEWER, project)
    return project


def sees_all(who: Who) -> Viewer:
    """For what is of the whole server. Raises: Refused (403: that there is such a thing is no secret)."""
    reason = who.lacks(Role.VIEWER)
    if reason:
        raise Refused(Role.OPERATOR, reason)
    return who


SeenRun = Annotated[Run, Depends(seen_run)]
SeenProject = Annotated[str, Depends(seen_project)]
SeesAll = Annotated[Viewer, Depends(sees_all)]


def entity_tag(*parts: object) -> str:
    """Strong: the same parts, the same bytes. Source: RFC 9110, section 8.8.3."""
    return '"' + ".".join(str(part) for part in parts) + '"'


def known(request: Request, tag: str) -> bool:
    """Whether the client has this version already. Source: RFC 9110, section 13.1.2."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or tag in re.findall(r'"[^"]*"', given)
