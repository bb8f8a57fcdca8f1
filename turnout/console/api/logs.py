"""Logs and files: bytes, a part at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from turnout.console.api.answers import AttemptLogs
from turnout.console.api.asked import Look, Number, SeenRun, Stage, Task, errors
from turnout.core.result import Artifact
from turnout.looking import LOG_PART, LogPart, Looking

router = APIRouter(tags=["logs and files"])
MOST_BYTES = 8 * LOG_PART
MOST_WAIT = 25.0
"""Seconds; less than what proxies in between give an answer."""
EVERY = 0.2
PLAIN = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


@router.get(
    "/runs/{run}/logs",
    operation_id="list_logs",
    summary="The attempts of a run that have a log",
    response_model=AttemptLogs,
    responses=errors(),
)
def logs(run: SeenRun, looking: Look, stage: Stage = "") -> AttemptLogs:
    return AttemptLogs(items=list(looking.logs(run.id, stage)), finished=run.finished)


@router.get(
    "/runs/{run}/log",
    operation_id="read_log",
    summary="A part of an attempt's log",
    response_class=Response,
    responses={
        200: {
            "description": "The bytes from `start` on: UTF-8 with ANSI colours, which a part may cut in the middle.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
            "headers": {
                "Turnout-Next": {"description": "`start` of the next part.", "schema": {"type": "integer"}},
                "Turnout-Size": {"description": "Bytes that there are now.", "schema": {"type": "integer"}},
                "Turnout-Ended": {
                    "description": "`true`: the attempt has ended, nothing is added any more.",
                    "schema": {"type": "string", "enum": ["true", "false"]},
                },
            },
        },
        **errors(),
    },
)
async def log(
    run: SeenRun,
    looking: Look,
    task: Task,
    attempt: Number = 1,
    start: Annotated[int, Query(ge=0, le=2**53, description="The first byte.")] = 0,
    most: Annotated[int, Query(ge=1, le=MOST_BYTES, description="Bytes at most.")] = LOG_PART,
    wait: Annotated[
        float, Query(ge=0, le=MOST_WAIT, description="Seconds to wait for more, where there is nothing yet.")
    ] = 0.0,
) -> Response:
    """To follow a log, ask again from `Turnout-Next` on with `wait=20`, until `Turnout-Ended` is `true` and
    `Turnout-Next` has come to `Turnout-Size`."""
    part = await _awaited(looking, run.id, task, attempt, start, most, wait)
    headers = {
        **PLAIN,
        "Cache-Control": "no-store",
        "Turnout-Next": str(part.next),
        "Turnout-Size": str(part.size),
        "Turnout-Ended": str(part.ended).lower(),
    }
    return Response(part.content, headers=headers, media_type="text/plain; charset=utf-8")


async def _awaited(
    looking: Looking, run: str, task: str, attempt: int, start: int, most: int, wait: float
) -> LogPart:
    deadline = time.monotonic() + wait
    while True:
        part = await run_in_threadpool(looking.log, run, task, attempt, start=start, most=most)
        if part.content or part.ended or time.monotonic() >= deadline:
            return part
        await asyncio.sleep(EVERY)


@router.get(
    "/runs/{run}/artifact",
    operation_id="read_artifact",
    summary="A file that an attempt left behind",
    response_class=Response,
    responses={
        200: {
            "description": "The file, to be saved.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        **errors(),
    },
)
def artifact(
    run: SeenRun,
    looking: Look,
    task: Task,
    name: Annotated[str, Query(min_length=1, max_length=1000, description="As `list_artifacts` names it.")],
    attempt: Number = 1,
) -> Response:
    """Always as bytes to be saved, whatever it is: it comes from the repository's code, and a browser must not run it
    in the console's name."""
    found = looking.file(run.id, task, attempt, name)
    first = looking.content(found.key)  # what is not there is a 404, before the answer has begun
    last = quote(name.rsplit("/", 1)[-1], safe="")
    headers = {
        **PLAIN,
        "Content-Disposition": f"attachment; filename*=UTF-8''{last}",
        "Cache-Control": "private, no-cache",
        "Repr-Digest": f"sha-256=:{_base64(found)}:",
    }
    return StreamingResponse(
        _pieces(looking, found.key, first), headers=headers, media_type="application/octet-stream"
    )


def _pieces(looking: Looking, key: str, first: bytes) -> Iterator[bytes]:
    start, piece = 0, first
    while piece:
        yield piece
        start += len(piece)
        piece = looking.content(key, start)


def _base64(artifact: Artifact) -> str:
    """Source: RFC 9530."""
    from base64 import b64encode

    return b64encode(bytes.fromhex(artifact.sha256)).decode()
