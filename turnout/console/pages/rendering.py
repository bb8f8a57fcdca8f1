"""From values to HTML: the templates, their filters, and what every page has."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from turnout.console.pages import lights
from turnout.core.access import Role, Viewer
from turnout.reporting.view import Light

HERE = Path(__file__).parent
STATIC = HERE / "static"
THEMES = ("light", "dark")
THEME_COOKIE = "turnout_theme"


@lru_cache(maxsize=1)
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        duration=lights.duration,
        ago=lights.ago,
        day=lights.day_name,
        size=lights.size,
        seen=seen,
        clock=lambda at: f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        iso=lambda at: at.astimezone(UTC).isoformat(timespec="milliseconds"),
        part=lambda text: quote(str(text), safe=""),
        run_link=lambda run, **query: f"/runs/{quote(run, safe='')}" + _query(query),
    )
    made.globals.update(WORDS=lights.LIGHT_WORDS, Light=Light, link=link, stamp=_stamp(), Role=Role)
    return made


def seen(value: object) -> str:
    """A value that a rule saw, as people read it."""
    if value is None or value in ("", [], {}, ()):
        return "none"
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{name}: {seen(each)}" for name, each in value.items())
        case list() | tuple():
            return ", ".join(map(seen, value))
        case _:
            return str(value)


def link(path: str, **query: object) -> str:
    """``path`` with the query's parts that are not empty."""
    return path + _query(query)


def _query(query: dict[str, Any]) -> str:
    given = {key.rstrip("_"): value for key, value in query.items() if value not in ("", None, 0)}
    return f"?{urlencode(given)}" if given else ""


def _stamp() -> str:
    """Changes whenever something static does, so that browsers may keep what they have."""
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def page(
    request: Request, name: str, who: Viewer | None = None, status: int = 200, **values: Any
) -> HTMLResponse:
    """A whole page, or a part of one: the template's name says which."""
    theme = request.cookies.get(THEME_COOKIE, "")
    text = (
        environment()
        .get_template(name)
        .render(
            request=request,
            path=request.url.path,
            viewer=who,
            theme=theme if theme in THEMES else "",
            csrf=token_field(request),
            **{"now": datetime.now(UTC), **values},
        )
    )
    return HTMLResponse(text, status)


def token_field(request: Request) -> Markup:
    """The hidden field that every form carries; empty where the request has none to give."""
    token = getattr(request.state, "csrf", "")
    return Markup('<input type="hidden" name="csrf" value="{}">').format(token) if token else Markup("")
