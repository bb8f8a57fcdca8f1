"""A picture of how a branch stands, for README files: ``/badges/owner/name.svg?branch=main``."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from turnout.console.api.asked import Look, Name, Owner, Parts, entity_tag, known
from turnout.console.identity import allowed, viewer
from turnout.core.access import Role
from turnout.core.config import ProjectConfig
from turnout.core.errors import InvalidConfig
from turnout.core.model import Outcome
from turnout.core.ports import RunFilter

router = APIRouter(include_in_schema=False)
KEPT = 60
"""Seconds that a picture may be shown before it is asked for again."""
LOOKS = {
    Outcome.SUCCESS: ("passing", "#1a7f37"),
    Outcome.FAILURE: ("failing", "#cf222e"),
    Outcome.ERROR: ("error", "#8250df"),
    Outcome.TIMED_OUT: ("timed out", "#cf222e"),
    Outcome.CANCELLED: ("cancelled", "#6e5a00"),
    Outcome.SKIPPED: ("skipped", "#57606a"),
}
NEVER = ("no runs", "#57606a")
WIDE = 7.0
"""Width of a character of Verdana 11px, in pixels: the text is stretched to it, whatever font there is."""


@router.get("/badges/{owner}/{name}.svg")
def badge(
    request: Request,
    owner: Owner,
    name: Name,
    parts: Parts,
    looking: Look,
    branch: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    """The outcome of the newest run of ``branch`` (by default the project's default one) that has ended."""
    project = f"{owner}/{name}"
    served = _served(parts.projects.find, project)
    public = served is not None and served.public_badge
    if not public:
        allowed(viewer(request), Role.VIEWER, project)
    asked = branch or (served.branches.default if served else "")
    page = looking.runs(RunFilter(project=project, branch=asked, status="finished"), limit=1)
    said, colour = LOOKS[Outcome(page.items[0].outcome)] if page.items else NEVER
    tag = entity_tag(said.replace(" ", "-"))
    headers = {"ETag": tag, "Cache-Control": f"{'public' if public else 'private'}, max-age={KEPT}"}
    if known(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(draw("turnout", said, colour), headers=headers, media_type="image/svg+xml")


def _served(find: Callable[[str], ProjectConfig | None], project: str) -> ProjectConfig | None:
    """What a broken file says of who may look does not count."""
    try:
        return find(project)
    except InvalidConfig:
        return None


def draw(label: str, said: str, colour: str) -> str:
    """Two fields beside each other, with a text for who can't see them."""
    left, right = len(label) * WIDE + 12, len(said) * WIDE + 12
    whole, title = left + right, escape(f"{label}: {said}")
    texts = "".join(
        f'<text x="{x:g}" y="14" textLength="{len(text) * WIDE:g}">{escape(text)}</text>'
        for x, text in ((6.0, label), (left + 6, said))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole:g}" height="20" role="img" aria-label="{title}">'
        f'<title>{title}</title><clipPath id="r"><rect width="{whole:g}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left:g}" height="20" fill="#3b4148"/>'
        f'<rect x="{left:g}" width="{right:g}" height="20" fill="{colour}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g></svg>\n'
    )
