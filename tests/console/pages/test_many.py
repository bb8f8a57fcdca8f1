"""The console as the framework serves it, in a process of its own: many who watch, and a log that is very long."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from local.console.seed import World, fill
from tests.waiting import wait_until
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key

ROOT = Path(__file__).resolve().parents[3]
WATCHERS = 200
SERVED = """
import socket, sys
import uvicorn
from functions_framework.aio import create_asgi_app
app = create_asgi_app("console", "functions/console/main.py")
uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning")).run([socket.socket(fileno=int(sys.argv[1]))])
"""
pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Console:
    world: World
    pid: int
    url: str
    token: dict[str, str]

    @property
    def cpu(self) -> float:
        """Seconds that the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    home = tmp_path_factory.mktemp("many")
    world = fill(home, runs=0)
    token = {"authorization": f"Bearer {world.wiring.settings.console_token()}"}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVED, str(listening.fileno())],
            cwd=ROOT,
            pass_fds=[listening.fileno()],
            env={**os.environ, "TURNOUT_HOME": str(home)},
        )
        try:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            assert httpx.get(f"{url}/runs", headers=token, timeout=60).status_code == 200
            yield Console(world, process.pid, url, token)
        finally:
            process.kill()
            process.wait(30)
            world.store.close()


def running(world: World) -> str:
    return next(row.id for row in world.store.runs(limit=20) if "IBANs" in row.title)


def test_two_hundred_browsers_are_told_at_once_and_cost_little(console: Console) -> None:
    run = running(console.world)
    version = console.world.wiring.looking.run(run).version
    idle: list[float] = []
    took: list[float] = []

    async def watch(client: httpx.AsyncClient, opened: list[int], told: list[float]) -> None:
        async with client.stream("GET", f"{console.url}/live/runs/{run}?after={version}") as answer:
            async for line in answer.aiter_lines():
                if line.startswith("retry"):
                    opened.append(1)
                if line.startswith("id:"):
                    told.append(time.monotonic())
                    return

    async def all_of_them() -> None:
        limits = httpx.Limits(max_connections=WATCHERS + 10)
        async with httpx.AsyncClient(headers=console.token, timeout=60, limits=limits) as client:
            opened: list[int] = []
            told: list[float] = []
            tasks = [asyncio.create_task(watch(client, opened, told)) for _ in range(WATCHERS)]
            await asyncio.to_thread(wait_until, lambda: len(opened) == WATCHERS, 30)
            used, begun = console.cpu, time.monotonic()
            await asyncio.sleep(2)  # what is measured is the cost of this time
            idle.append((console.cpu - used) / (time.monotonic() - begun))
            assert not told
            console.world.clock.at = datetime.now(UTC)
            said = time.monotonic()
            await asyncio.to_thread(console.world.hear, m.CancelRun(run=run, by="grace"))
            await asyncio.gather(*tasks)
            took.append(max(told) - said)

    asyncio.run(all_of_them())
    print(
        f"{WATCHERS} watchers: {idle[0]:.3f} of a core while nothing happens; all told within {took[0]:.2f} s"
    )
    assert idle[0] < 0.25
    assert took[0] < 5


def test_a_log_of_fifty_megabytes_opens_at_once_and_is_followed(console: Console) -> None:
    run = running(console.world)
    state = console.world.wiring.looking.run(run)
    task, number = next(
        (task.id, attempt.number)
        for _, task in state.tasks()
        for attempt in task.attempts
        if attempt.finished_at is None
    )
    key = attempt_key(run, task, number)
    lines = b"".join(
        b"\x1b[32mline\x1b[0m %07d of a log that some tool has written\n" % at for at in range(10_000)
    )
    while console.world.wiring.artifacts.size(key) < 50_000_000:
        console.world.wiring.artifacts.append(key, lines)
    asked = httpx.QueryParams({"task": task, "attempt": number})
    took = {}
    with httpx.Client(headers=console.token, base_url=console.url, timeout=60) as client:
        for what in ("first", "again"):
            begun = time.monotonic()
            text = client.get(f"/runs/{run}/log?{asked}").text
            took[what] = time.monotonic() - begun
        assert text.count('<li id="L') == 500
        last = int(text.partition('data-last="')[2].partition('"')[0])
        size = console.world.wiring.artifacts.size(key)
        live = f"/live/log?{asked}&run={run}&after={size}"
        with client.stream("GET", live) as answer:
            told = answer.iter_lines()
            assert next(told).startswith("retry")
            console.world.wiring.artifacts.append(key, b"the newest line\n")
            assert f"id: {size + 16}" in (next(told) for _ in range(10))
        more = client.get(f"/runs/{run}/log/lines?{asked}&first={last + 1}&follow=1").text
        assert "the newest line" in more
    print(f"50 MB opened in {took['first'] * 1000:.0f} ms, then in {took['again'] * 1000:.0f} ms")
    assert took["first"] < 3
    assert took["again"] < 1
