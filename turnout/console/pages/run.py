"""One run: as it is, as it was, why, and what it left behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from turnout.acting import Acting
from turnout.console.pages.asking import Look, Who, run_for
from turnout.console.pages.charts import SECONDS
from turnout.console.pages.deciding import Act, may_decide
from turnout.console.pages.picture import picture
from turnout.console.pages.rendering import page
from turnout.console.pages.showing import shown
from turnout.core.access import Viewer
from turnout.core.errors import NotFound
from turnout.core.explain import explain
from turnout.core.ports import StoredEvent
from turnout.core.replay import rebuild
from turnout.core.run import Run
from turnout.core.timeline import Phase
from turnout.looking import LOG_PART, Looking

router = APIRouter()
SAFE = ("image/png", "image/jpeg", "text/plain")


@router.get("/runs/{run}")
def run(
    request: Request, run: str, who: Who, look: Look, act: Act, at: int = 0, coming: bool = False
) -> HTMLResponse:
    """``coming``: it has just been asked for, and may not be there yet."""
    try:
        values = _values(run, who, look, act, at)
    except NotFound:
        if not coming:
            raise
        return page(request, "coming.html", who, run=run)
    return page(request, "run.html", who, **values)


@router.get("/runs/{run}/part")
def run_part(request: Request, run: str, who: Who, look: Look, act: Act, at: int = 0) -> HTMLResponse:
    """What changes with time. ``at`` beyond its events, or 0: as it is now."""
    return page(request, "run_part.html", who, **_values(run, who, look, act, at))


@router.get("/runs/{run}/why")
def why(request: Request, run: str, who: Who, look: Look, stage: str = "") -> HTMLResponse:
    """The causes, of one stage or of the whole run."""
    state = run_for(who, look, run)
    name = "why.html" if request.headers.get("hx-request") else "why_page.html"
    return page(request, name, who, causes=look.why(state.id, stage), run=state.id, stage=stage)


@router.get("/runs/{run}/file")
def file(run: str, who: Who, look: Look, task: str, attempt: int, name: str) -> StreamingResponse:
    """An artifact, to be kept and not to be shown: whoever wrote the code may have written it."""
    state = run_for(who, look, run)
    artifact = look.file(state.id, task, attempt, name)
    plain = artifact.media_type if artifact.media_type in SAFE else "application/octet-stream"
    called = "".join(each if each.isalnum() or each in "._-" else "_" for each in name.rpartition("/")[2])
    headers = {
        "Content-Disposition": f'attachment; filename="{called or "file"}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Length": str(artifact.size),
    }
    return StreamingResponse(_pieces(look, artifact.key, artifact.size), media_type=plain, headers=headers)


def _pieces(look: Looking, key: str, size: int) -> Iterator[bytes]:
    at = 0
    while at < size:
        piece = look.content(key, at, min(LOG_PART, size - at))
        if not piece:
            return
        yield piece
        at += len(piece)


def _values(given: str, who: Viewer, look: Looking, act: Acting, at: int) -> dict[str, Any]:
    latest = run_for(who, look, given)
    history = look.events(latest.id)
    past = 0 < at < latest.version
    state = rebuild([stored.event for stored in history], at) if past else latest
    when = history[state.version - 1].at if history else latest.created_at
    now = when if past else datetime.now(UTC)
    it = shown(state, now)
    return {
        "it": it,
        "latest": latest,
        "past": past,
        "at": when,
        "told": _told(history, state.version),
        "picture": picture(state),
        "ticks": ticks(it.timeline.seconds),
        "phases": tuple(Phase),
        "files": files(state),
        "may_decide": frozenset() if past else may_decide(act, who, latest),
        "now": datetime.now(UTC),
    }


def files(run: Run) -> tuple[Any, ...]:
    return tuple(
        {"task": task.id, "attempt": attempt.number, "artifact": artifact}
        for _, task in run.tasks()
        for attempt in task.attempts
        if attempt.result is not None
        for artifact in attempt.result.artifacts
    )


def _told(history: Sequence[StoredEvent], version: int) -> str:
    """What the event with this number says."""
    if not history:
        return ""
    first, event = history[0].event, history[version - 1].event
    told = explain([first, event]) if version > 1 else ()
    return told[-1] if told else "The run was made."


def ticks(seconds: float, most: int = 9) -> tuple[float, ...]:
    """Where the grid's lines stand."""
    step = next((each for each in SECONDS if seconds / each <= most), SECONDS[-1])
    return tuple(step * number for number in range(int(seconds // step) + 1))
