"""An attempt's log: any part of it at once, however long it is; searched, folded, followed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from markupsafe import Markup, escape

from turnout.console.pages.ansi import PLAIN, to_html
from turnout.console.pages.asking import Look, Who, run_for
from turnout.console.pages.log_lines import Line, LineIndex, Read, Window, search
from turnout.console.pages.rendering import page
from turnout.core.errors import NotFound
from turnout.core.run import Attempt, Run
from turnout.looking import LOG_PART, Looking
from turnout.planning import Known

router = APIRouter()
LINES = 500
"""Of one part of the page."""
WHOLE = 2000
"""A log with no more lines is shown from its begin."""
FOUND = 200
"""Lines that a search shows."""
INDEXED = 64
"""Logs whose lines are known in a process."""
_GROUP = re.compile(r"^(?:::group::|##\[group\])(.*)$")
_END = re.compile(r"^(?:::endgroup::|##\[endgroup\])")


@dataclass(frozen=True, slots=True)
class ShownLine:
    """``kind``: ``fold`` begins a group, ``end`` ends one, empty: neither."""

    number: int
    html: Markup
    kind: str


@dataclass(frozen=True, slots=True)
class ReadLog:
    """``attempt``: as it was when the log's ``size`` was looked up."""

    run: Run
    task: str
    attempt: Attempt
    size: int
    ended: bool
    index: LineIndex
    read: Read

    def window(self, first: int, most: int) -> Window:
        return self.index.window(self.size, self.read, first, most)


@router.get("/runs/{run}/log")
def log(
    request: Request, run: str, who: Who, look: Look, task: str, attempt: int = 1, line: int = 0
) -> HTMLResponse:
    """``line``: the one to be shown, with some before it; 0: the end, or the whole of a short one."""
    found = _open(request, run_for(who, look, run), look, task, attempt)
    seen = found.window(max(1, line - LINES // 4) if line > 0 else 0, LINES if line > 0 else WHOLE)
    if line <= 0 and seen.total > WHOLE:
        seen = found.window(0, LINES)
    return page(request, "log.html", who, **_values(found, seen), here=line)


@router.get("/runs/{run}/log/lines")
def log_lines(
    request: Request,
    run: str,
    who: Who,
    look: Look,
    task: str,
    attempt: int = 1,
    first: int = 1,
    before: int = 0,
    follow: bool = False,
) -> HTMLResponse:
    """A part of the page: the lines from ``first`` on, or the last ones ``before`` a line. With ``follow``
    without a line that is still being written."""
    found = _open(request, run_for(who, look, run), look, task, attempt)
    if before:
        begin = max(1, before - LINES)
        seen = found.window(begin, before - begin)
    else:
        seen = found.window(max(1, first), LINES)
    values = _values(found, seen, torn=not follow or found.ended)
    return page(request, "log_lines.html", who, **values, up=bool(before), down=not before and not follow)


@router.get("/runs/{run}/log/search")
def log_search(
    request: Request, run: str, who: Who, look: Look, task: str, attempt: int = 1, q: str = ""
) -> HTMLResponse:
    found = _open(request, run_for(who, look, run), look, task, attempt)
    wanted = q.strip()[:200]
    hits, count = search(found.size, found.read, wanted, FOUND) if wanted else ((), 0)
    shown = [(each.number, _marked(each, wanted)) for each in hits]
    return page(
        request, "log_search.html", who, hits=shown, count=count, wanted=wanted, found=found, most=FOUND
    )


@router.get("/runs/{run}/log/raw")
def log_raw(run: str, who: Who, look: Look, task: str, attempt: int = 1) -> StreamingResponse:
    state = run_for(who, look, run)
    size = look.log(state.id, task, attempt, most=0).size
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{state.id[:8]}-{task}-{attempt}.log")
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Length": str(size),
    }
    pieces = _pieces(look, state.id, task, attempt, size)
    return StreamingResponse(pieces, media_type="text/plain; charset=utf-8", headers=headers)


def _pieces(look: Looking, run: str, task: str, number: int, size: int) -> Iterator[bytes]:
    at = 0
    while at < size:
        part = look.log(run, task, number, start=at, most=min(LOG_PART, size - at))
        if not part.content:
            return
        yield part.content
        at = part.next


def _open(request: Request, run: Run, look: Looking, task: str, number: int) -> ReadLog:
    """Raises: NotFound."""
    attempts = next((each.attempts for _, each in run.tasks() if each.id == task), ())
    if not 1 <= number <= len(attempts):
        raise NotFound(f"run {run.id[:12]} has no attempt {number} of {task!r}", "its page lists them")
    part = look.log(run.id, task, number, most=0)

    def read(start: int, most: int) -> bytes:
        return look.log(run.id, task, number, start=start, most=most).content if most > 0 else b""

    return ReadLog(
        run,
        task,
        attempts[number - 1],
        part.size,
        part.ended,
        _index(request, (run.id, task, number)),
        read,
    )


def _index(request: Request, key: tuple[str, str, int]) -> LineIndex:
    state = request.app.state
    if not hasattr(state, "line_indexes"):
        state.line_indexes = Known[LineIndex](INDEXED)
    known: Known[LineIndex] = state.line_indexes
    return known.find(key) or known.keep(key, LineIndex())


def _values(found: ReadLog, seen: Window, *, torn: bool = True) -> dict[str, Any]:
    lines = seen.lines if torn or not seen.open else seen.lines[:-1]
    return {
        "found": found,
        "run": found.run,
        "task": found.task,
        "attempt": found.attempt,
        "lines": list(_shown(lines)),
        "total": seen.total,
        "first": seen.first,
        "last": lines[-1].number if lines else seen.first - 1,
        "step": LINES,
    }


def _shown(lines: tuple[Line, ...]) -> Iterator[ShownLine]:
    """Colours go on over line ends, as on a terminal; a part begins without."""
    style = PLAIN
    for line in lines:
        text = line.content.decode(errors="replace")
        group = _GROUP.match(text)
        safe, style = to_html(group.group(1) or "(group)" if group else text, style)
        kind = "fold" if group else "end" if _END.match(text) else ""
        yield ShownLine(line.number, Markup(safe), kind)  # noqa: S704  # escaped by `to_html`


def _marked(line: Line, wanted: str) -> Markup:
    """The line, with what was looked for marked in it."""
    text = line.content.decode(errors="replace")
    at = text.lower().find(wanted.lower())
    if at < 0:
        return escape(text[:300])
    begin, end = max(0, at - 80), at + len(wanted)
    mark = Markup("<mark>{}</mark>").format(text[at:end])
    return escape("…" * (begin > 0) + text[begin:at]) + mark + escape(text[end : end + 200])
