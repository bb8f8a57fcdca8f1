"""What the console costs: ``make bench-console``. The same pages at 1,000 and at 10,000 runs (100,000 and 1,000,000
events), asked in turn; a log of 50 MB; 200 browsers that watch one process.

A page's time is from the request's arrival at the application until the last byte of its answer, in the process that
serves it: no network, no browser. `tests.bench.long_history` makes the runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI

from local.console.served import Served
from tests.bench.long_history import PROJECT, seed
from tests.contracts.store_runs import Story, attempt_of
from turnout.adapters.settings import read_settings
from turnout.console.app import create_app
from turnout.core import events as e
from turnout.core.artifact_keys import attempt_key
from turnout.core.ports import RunFilter
from turnout.wiring import Wiring, prepare

SIZES = (1_000, 10_000)
LOG = 50_000_000
WATCHERS = 200
LINE = b"2026-03-02T12:00:00Z \x1b[32mok\x1b[0m tests/test_gate.py::test_that_it_opens_%07d took 12 ms\n"
FAR = 300
"""Runs down the list, where a page deep in it begins."""
Found = dict[str, Any]


class House:
    """A home with so many runs, and its console in this process."""

    def __init__(self, home: Path, runs: int) -> None:
        home.mkdir()
        self.events = seed(home / "turnout.db", runs)
        self.wiring = wired(home)
        self.app = create_app(self.wiring)
        rows = self.wiring.store.runs(RunFilter(), limit=FAR)
        self.newest, self.far = rows[0].id, rows[-1].id

    def pages(self) -> Mapping[str, str]:
        return {
            "runs": "/runs",
            "runs, of a project": f"/runs?project={PROJECT}",
            "runs, failed": "/runs?state=failure",
            "runs, of a person": "/runs?person=person-03",
            f"runs, {FAR} down": f"/runs?after={self.far}",
            "a run": f"/runs/{self.newest}",
            "a project, 30 days": f"/projects/{PROJECT}",
            "all projects": "/projects",
            "GET /api/v1/runs": "/api/v1/runs",
            "GET /metrics": "/metrics",
        }

    def close(self) -> None:
        self.wiring.store.close()


def wired(home: Path) -> Wiring:
    made = Wiring(read_settings({"TURNOUT_HOME": str(home)}))
    prepare(made.settings)
    return made


async def ask(app: FastAPI, path: str, token: str) -> tuple[int, int]:
    """The status, and the bytes of the answer."""
    parts = urlsplit(path)
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": parts.path, "raw_path": parts.path.encode(), "query_string": parts.query.encode(), "root_path": "",
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    status, size, begun = 0, 0, False

    async def receive() -> Mapping[str, Any]:
        nonlocal begun
        if begun:
            await asyncio.Event().wait()  # nobody goes away
        begun = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, size
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            size += len(message.get("body", b""))

    await app(scope, receive, send)  # type: ignore[arg-type]
    return status, size


@dataclass(frozen=True)
class Took:
    """Milliseconds until the answer's last byte, and of the processor, which other work on the machine leaves alone."""

    wall: float
    processor: float


async def timed(house: House, path: str) -> Took:
    """Raises: RuntimeError for anything but an answer of 200."""
    token = house.wiring.settings.console_token()
    worked, began = time.process_time(), time.perf_counter()
    status, size = await ask(house.app, path, token)
    took = Took(1000 * (time.perf_counter() - began), 1000 * (time.process_time() - worked))
    if status != 200 or not size:
        raise RuntimeError(f"{path}: status {status}, {size} bytes")
    return took


def pages(houses: Mapping[int, House], rounds: int) -> Found:
    """Page to number of runs to milliseconds: ``first``, of a process that has not been asked before; ``again``, and
    of that ``processor``."""

    async def all_() -> Found:
        found: Found = {}
        for name in next(iter(houses.values())).pages():
            taken: dict[str, Found] = {}
            for runs, house in houses.items():
                first = await timed(house, house.pages()[name])
                taken[str(runs)] = {"first": first.wall, "again": [], "processor": []}
            for _ in range(rounds):
                for runs, house in houses.items():
                    took = await timed(house, house.pages()[name])
                    taken[str(runs)]["again"].append(took.wall)
                    taken[str(runs)]["processor"].append(took.processor)
            found[name] = taken
        return found

    return asyncio.run(all_())


# --- a long log ---------------------------------------------------------------------------------------


def long_log(house: House, size: int, rounds: int) -> Found:
    """Milliseconds: ``first``, the page's first answer of this process; ``again``; ``middle``, a part in the middle;
    ``follow``, what has been added since."""
    run = house.wiring.store.load(house.newest)
    assert run is not None
    task = next(task.id for _, task in run.tasks())
    key = attempt_key(run.id, task, 1)
    lines = size // len(LINE % 0)
    for begin in range(0, lines, 10_000):
        part = b"".join(LINE % number for number in range(begin, min(begin + 10_000, lines)))
        house.wiring.artifacts.append(key, part)
    page = f"/runs/{run.id}/log?task={task}"

    async def all_() -> Found:
        found: Found = {"bytes": lines * len(LINE % 0), "first": (await timed(house, page)).wall}
        found["again"] = [(await timed(house, page)).wall for _ in range(rounds)]
        found["middle"] = [(await timed(house, f"{page}&line={lines // 2}")).wall for _ in range(rounds)]
        follow = f"/runs/{run.id}/log/lines?task={task}&first={lines + 1}&follow=true"
        taken = []
        for number in range(rounds):
            house.wiring.artifacts.append(key, LINE % (lines + number))
            taken.append((await timed(house, follow)).wall)
        found["follow"] = taken
        return found

    return asyncio.run(all_())


# --- many who watch -----------------------------------------------------------------------------------


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, int]]:
    """A console of its own for this home: its URL, and its process."""
    command = [sys.executable, "-m", "tests.bench.console", "--serve", str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def serve(home: Path) -> None:
    with Served(home) as served:
        print(served.url, flush=True)
        sys.stdin.read()


def processor(pid: int) -> float:
    """Seconds that the process has been at work."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Watcher:
    """A browser that has the page of a run open. ``heard``: when it was told of each version."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: dict[str, float]

    async def listen(self) -> None:
        while line := await self.reader.readline():
            if line.startswith(b"id: "):
                self.heard.setdefault(line[4:].strip().decode(), time.perf_counter())


async def watcher(url: str, token: str, run: str) -> Watcher:
    host, port = urlsplit(url).netloc.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"GET /live/runs/{run} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
        "Accept: text/event-stream\r\n\r\n"
    )
    writer.write(head.encode())
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"a watcher was answered {status!r}")
    return Watcher(reader, writer, {})


def watched(home: Path, watchers: int, updates: int, idle: float = 5.0) -> Found:
    """``delay``: milliseconds from the commit of an event until each watcher has heard of it. How much of one core the
    process takes: ``alone``, before anybody watches; ``idle``, while nothing happens; ``busy``, with two events a
    second."""
    wiring = wired(home)
    story = Story(wiring.store, f"watched {time.time_ns()}")
    story.begin()
    token = wiring.settings.console_token()

    async def until(met: Callable[[], bool]) -> None:
        deadline = time.perf_counter() + 30
        while not met():
            if time.perf_counter() > deadline:
                raise RuntimeError("the watchers were not told within 30 s")
            await asyncio.sleep(0.005)

    async def all_(url: str, pid: int) -> Found:
        first = await watcher(url, token, story.id)  # everything is loaded
        first.writer.close()
        await asyncio.sleep(1.5)
        alone = await share(pid, idle)
        all_watchers = [await watcher(url, token, story.id) for _ in range(watchers)]
        tasks = [asyncio.create_task(each.listen()) for each in all_watchers]
        await until(lambda: all("1" in each.heard for each in all_watchers))
        still = await share(pid, idle)
        delays: list[float] = []
        before, began = processor(pid), time.perf_counter()
        for number in range(updates):
            version = str(story.state.version + 1)
            await asyncio.to_thread(_go_on, story, number)
            at = time.perf_counter()
            await until(lambda version=version: all(version in each.heard for each in all_watchers))  # type: ignore[misc]
            delays += [1000 * (each.heard[version] - at) for each in all_watchers]
            await asyncio.sleep(max(0.0, 0.5 - (time.perf_counter() - at)))
        busy = (processor(pid) - before) / (time.perf_counter() - began)
        for task in tasks:
            task.cancel()
        for each in all_watchers:
            each.writer.close()
        return {"watchers": watchers, "alone": alone, "idle": still, "busy": busy, "delay": delays}

    with serving(home) as (url, pid):
        found = asyncio.run(all_(url, pid))
    wiring.store.close()
    return found


async def share(pid: int, seconds: float) -> float:
    before = processor(pid)
    await asyncio.sleep(seconds)
    return (processor(pid) - before) / seconds


def _go_on(story: Story, number: int) -> None:
    """One more event of the run."""
    now = datetime.now(UTC)
    story.tell(e.MessageIgnored(at=now, message=f"m{number}", attempt=attempt_of(story.name), reason="late"))


# --- all of it ----------------------------------------------------------------------------------------


def measure(folder: Path, sizes: Sequence[int], rounds: int, log: int, watchers: int) -> Found:
    houses = {runs: House(folder / str(runs), runs) for runs in sizes}
    try:
        largest = houses[max(sizes)]
        found: Found = {
            "events": {str(runs): house.events for runs, house in houses.items()},
            "pages": pages(houses, rounds),
            "log": long_log(largest, log, rounds),
        }
    finally:
        for each in houses.values():
            each.close()
    return found | {"live": watched(folder / str(max(sizes)), watchers, updates=20)}


def growth(found: Found, page: str) -> float:
    """What a page takes of the processor with the most runs, by what it takes with the fewest."""
    taken = found["pages"][page]
    fewest, most = (median(taken[runs]["processor"]) for runs in (min(taken, key=int), max(taken, key=int)))
    return float(most / fewest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--rounds", type=int, default=50)
    given = parser.parse_args()
    if given.serve is not None:
        serve(given.serve)
        return
    from tests.bench.render import RESULTS, write
    from tests.bench.side_by_side import machine

    with TemporaryDirectory(prefix="turnout-console-") as folder:
        before = machine()
        values = measure(Path(folder), SIZES, given.rounds, LOG, WATCHERS)
    values["live"]["delay"] = sorted(values["live"]["delay"])[
        ::20
    ]  # of each browser and event: some stand for all
    told = {"command": "make bench-console", "machine": before, "values": values}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "console.json").write_text(json.dumps(told, indent=1) + "\n")
    write()


if __name__ == "__main__":
    main()
