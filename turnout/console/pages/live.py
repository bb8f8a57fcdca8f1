"""Server-Sent Events: what has changed, not what it is now; pages then ask for the part that they show.

One look at the store every `EVERY` seconds serves everybody who watches in this process, and nobody's watching costs
nothing. An event's id says what the watcher has seen, so that one who comes back (``Last-Event-ID``, or the page's own
``after``) is told at once what they have missed. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from turnout.console.pages.asking import Look, Who, looking, run_for
from turnout.core.errors import NotFound, TurnoutError
from turnout.core.ports import RunFilter, RunRow
from turnout.core.run import RunStatus
from turnout.logging import get_logger
from turnout.looking import Looking

router = APIRouter()
log = get_logger()

K = TypeVar("K", bound=Hashable)

EVERY = 0.4
"""Seconds between two looks, while somebody watches."""
HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the connection."""
MOST = 500
"""Open runs, of each status, that are looked at."""
OPEN = tuple(status for status in RunStatus if status is not RunStatus.FINISHED)
Attempted = tuple[str, str, int]
"""A run, a task, the number of an attempt."""


@dataclass(frozen=True, slots=True)
class Moment:
    """``mark``: of all runs together; ``versions``: of the open runs; ``ended``: of those that were watched to their
    end; ``logs``: bytes, and whether there will be no more."""

    mark: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)
    ended: Mapping[str, int] = field(default_factory=dict)
    logs: Mapping[Attempted, tuple[int, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What one watcher is told now. ``id`` empty: nothing is known yet."""

    event: str
    id: str
    end: bool = False


def look_at(look: Looking, runs: Iterable[str], logs: Iterable[Attempted], before: Moment) -> Moment:
    """How all that is watched stands now. Raises: TransientError."""
    open_runs = {row.id: row.version for row in _open(look)}
    ended = dict(before.ended)
    for run in runs:
        if run not in open_runs and run not in ended:
            ended[run] = look.run(run).version
    sizes = {each: _size(look, each) for each in logs}
    return Moment(_mark(look, open_runs), open_runs, ended, sizes)


def _open(look: Looking) -> Iterator[RunRow]:
    for status in OPEN:
        yield from look.store.runs(RunFilter(status=status.value), limit=MOST)


def _mark(look: Looking, open_runs: Mapping[str, int]) -> str:
    newest = [row.id for row in look.store.runs(limit=1)]
    return hashlib.sha256(repr((newest, sorted(open_runs.items()))).encode()).hexdigest()[:16]


def _size(look: Looking, attempted: Attempted) -> tuple[int, bool]:
    try:
        part = look.log(*attempted, most=0)
    except NotFound:
        return 0, True
    return part.size, part.ended


def mark_of(request: Request) -> str:
    """Of all runs as they are now."""
    look = looking(request)
    return _mark(look, {row.id: row.version for row in _open(look)})


class Hub:
    """Everybody who watches in this process. Belongs to one event loop; `of` makes another one for another loop."""

    def __init__(self, look: Looking) -> None:
        self._look = look
        self._loop = asyncio.get_running_loop()
        self._runs: Counter[str] = Counter()
        self._logs: Counter[Attempted] = Counter()
        self._watchers = 0
        self._turn = self._loop.create_future()
        self._task: asyncio.Task[None] | None = None
        self.moment = Moment()
        self.looks = 0

    @classmethod
    def of(cls, request: Request) -> Hub:
        state = request.app.state
        hub: Hub | None = getattr(state, "live", None)
        if hub is None or hub._loop is not asyncio.get_running_loop():
            hub = state.live = cls(looking(request))
        return hub

    async def watch(
        self,
        told: Callable[[Moment], Told],
        after: str,
        *,
        run: str = "",
        attempted: Attempted | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The stream for one watcher, who has seen ``after``."""
        self._watchers += 1
        if run:
            self._runs[run] += 1
        if attempted is not None:
            self._logs[attempted] += 1
        turn = self._turn
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._go())
        try:
            yield b"retry: 2000\n\n"
            while True:
                now = told(self.moment)
                if now.id and now.id != after:
                    after = now.id
                    yield f"id: {now.id}\nevent: {now.event}\ndata: {now.id}\n\n".encode()
                if now.end:
                    yield b"event: end\ndata: -\n\n"
                    return
                try:
                    await asyncio.wait_for(asyncio.shield(turn), HEARTBEAT)
                except TimeoutError:
                    yield b": still here\n\n"
                turn = self._turn
        finally:
            self._watchers -= 1
            if run:
                _forget(self._runs, run)
            if attempted is not None:
                _forget(self._logs, attempted)

    async def _go(self) -> None:
        """Look, tell, sleep, for as long as somebody watches."""
        while self._watchers:
            try:
                look = partial(look_at, self._look, tuple(self._runs), tuple(self._logs), self.moment)
                found = await asyncio.to_thread(look)
                self.looks += 1
            except TurnoutError as error:
                log.warning("live pages can't be told", reason=str(error))
                found = self.moment
            if found != self.moment:
                self.moment = found
                turn, self._turn = self._turn, self._loop.create_future()
                turn.set_result(None)
            await asyncio.sleep(EVERY)
        self.moment = Moment()


def _forget(counted: Counter[K], key: K) -> None:
    counted[key] -= 1
    if counted[key] <= 0:
        del counted[key]


@router.get("/live/runs")
async def live_runs(request: Request, _who: Who, after: str = "") -> StreamingResponse:
    """``runs``, whenever a run is new, went on or ended."""
    return _stream(Hub.of(request).watch(lambda now: Told("runs", now.mark), _seen(request, after)))


@router.get("/live/runs/{run}")
async def live_run(request: Request, run: str, who: Who, look: Look, after: str = "") -> StreamingResponse:
    """``run``, whenever there is another event of it; the id is its version. ``end`` after the last one."""
    id = (await asyncio.to_thread(run_for, who, look, run)).id

    def told(now: Moment) -> Told:
        ended = now.ended.get(id)
        version = ended or now.versions.get(id) or 0
        return Told("run", str(version) if version else "", ended is not None)

    return _stream(Hub.of(request).watch(told, _seen(request, after), run=id))


@router.get("/live/log")
async def live_log(
    request: Request, who: Who, look: Look, run: str, task: str, attempt: int, after: str = ""
) -> StreamingResponse:
    """``log``, whenever there is more of it; the id is its size in bytes. ``end`` when there will be no more."""
    attempted = ((await asyncio.to_thread(run_for, who, look, run)).id, task, attempt)

    def told(now: Moment) -> Told:
        size, ended = now.logs.get(attempted, (0, False))
        return Told("log", str(size) if size else "", ended)

    return _stream(Hub.of(request).watch(told, _seen(request, after), attempted=attempted))


def _seen(request: Request, after: str) -> str:
    return request.headers.get("last-event-id", "") or after


def _stream(events: AsyncGenerator[bytes, None]) -> StreamingResponse:
    told = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=told)
