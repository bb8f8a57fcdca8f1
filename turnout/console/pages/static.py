"""Styles, scripts and pictures. What is asked for with the stamp of its content may be kept for ever."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, Response

from turnout.console.pages.rendering import STATIC

router = APIRouter()
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
KEPT = "public, max-age=31536000, immutable"


@lru_cache(maxsize=1)
def files() -> dict[str, Path]:
    return {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.suffix in TYPES}


@router.get("/static/{name:path}")
def static(name: str, request: Request) -> Response:
    path = files().get(name)
    if path is None:
        raise HTTPException(404, f"there is no file {name!r}")
    kept = KEPT if request.url.query else "no-cache"
    return FileResponse(path, media_type=TYPES[path.suffix], headers={"Cache-Control": kept})
