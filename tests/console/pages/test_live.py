from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from tests.core.building import a_plan, stage
from tests.test_orchestration import World
from turnout.adapters.memory_store import MemoryStore
from turnout.console.pages import live
from turnout.console.pages.live import Hub, Moment, Told, look_at
from turnout.core import messages as m
from turnout.core.ids import run_id
from turnout.core.model import Outcome
from turnout.looking import LogPart, Looking

SOON = 5.0
"""Seconds that a test waits for an event at most."""


@dataclass
class Look:
    """What of `Looking` live pages use, over a store in memory. ``sizes``: of logs, and whether they have ended."""

    store: MemoryStore
    sizes: dict[tuple[str, str, int], tuple[int, bool]] = field(default_factory=dict)

    def run(self, given: str) -> Any:
        return self.store.load(given)

    def log(self, run: str, task: str, number: int, *, most: int) -> LogPart:
        size, ended = self.sizes[run, task, number]
        return LogPart(b"", 0, size, ended)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(live, "EVERY", 0.01)
    return World(a_plan(stage("lint"), stage("test", "lint")))


def looked(world: World) -> Look:
    assert isinstance(world.store, MemoryStore)
    return Look(world.store)


def hub(look: Look) -> Hub:
    return Hub(cast(Looking, look))


def all_runs(now: Moment) -> Told:
    return Told("runs", now.mark)


def versions(run: str) -> Callable[[Moment], Told]:
    return lambda now: Told("run", str(now.ended.get(run) or now.versions.get(run) or ""), run in now.ended)


async def told(stream: AsyncIterator[bytes]) -> str:
    """The next event, without what keeps the connection."""
    while True:
        text = (await asyncio.wait_for(anext(stream), SOON)).decode()
        if "event:" in text:
            return text


def test_a_watcher_is_told_of_each_change_once(world: World) -> None:
    world.push()
    run = run_id("t1")

    async def watch() -> None:
        stream = hub(looked(world)).watch(versions(run), str(world.run().version), run=run)
        assert await anext(stream) == b"retry: 2000\n\n"
        waiting = asyncio.ensure_future(told(stream))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await asyncio.to_thread(world.hear, world.started("lint"))
        version = world.run().version
        assert await waiting == f"id: {version}\nevent: run\ndata: {version}\n\n"
        await stream.aclose()

    asyncio.run(watch())


def test_who_comes_back_is_told_what_they_missed(world: World) -> None:
    world.push()
    seen = world.run().version
    world.hear(world.started("lint"))
    run = run_id("t1")

    async def watch() -> None:
        stream = hub(looked(world)).watch(versions(run), str(seen), run=run)
        assert f"id: {seen + 1}" in await told(stream)
        await stream.aclose()

    asyncio.run(watch())


def test_the_stream_of_a_run_ends_with_it(world: World) -> None:
    world.push()
    run = run_id("t1")

    async def watch() -> list[str]:
        stream = hub(looked(world)).watch(versions(run), "", run=run)
        first = await told(stream)
        await asyncio.to_thread(world.hear, m.CancelRun(run=run, by="grace"))
        for task in ("lint",):
            await asyncio.to_thread(world.hear, world.finished(task, Outcome.CANCELLED))
        rest = [each.decode() async for each in stream]
        return [first, *rest]

    events = asyncio.run(watch())
    assert world.run().finished
    assert events[-1] == "event: end\ndata: -\n\n"
    assert any(f"id: {world.run().version}" in each for each in events)


def test_the_list_is_told_of_new_runs_and_of_those_that_go_on(world: World) -> None:
    async def watch() -> None:
        stream = hub(looked(world)).watch(all_runs, "")
        marks = {await told(stream)}
        for act in (
            lambda: world.push(),
            lambda: world.hear(world.started("lint")),
            lambda: world.hear(m.CancelRun(run=run_id("t1"), by="grace")),
        ):
            await asyncio.to_thread(act)
            marks.add(await told(stream))
        assert len(marks) == 4
        await stream.aclose()

    asyncio.run(watch())


def test_many_watchers_cost_one_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY", 30.0)
    world.push()
    run = run_id("t1")

    async def watch() -> int:
        one = hub(looked(world))
        streams = [one.watch(versions(run), "", run=run) for _ in range(50)]
        assert len(set(await asyncio.gather(*map(told, streams)))) == 1
        for stream in streams:
            await stream.aclose()
        return one.looks

    assert asyncio.run(watch()) == 1


def test_silence_is_broken_by_a_comment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.01)
    world.push()

    async def watch() -> None:
        stream = hub(looked(world)).watch(lambda _: Told("runs", ""), "")
        assert await anext(stream) == b"retry: 2000\n\n"
        assert await asyncio.wait_for(anext(stream), SOON) == b": still here\n\n"
        await stream.aclose()

    asyncio.run(watch())


def test_a_log_is_told_by_its_size_until_it_has_ended(world: World) -> None:
    world.push()
    look, key = looked(world), ("r", "lint", 1)
    look.sizes[key] = (10, False)

    def size(now: Moment) -> Told:
        count, ended = now.logs.get(key, (0, False))
        return Told("log", str(count) if count else "", ended)

    async def watch() -> list[str]:
        stream = hub(look).watch(size, "10", attempted=key)
        await anext(stream)
        look.sizes[key] = (25, True)
        return [each.decode() async for each in stream]

    assert asyncio.run(watch()) == ["id: 25\nevent: log\ndata: 25\n\n", "event: end\ndata: -\n\n"]


def test_nobody_watching_costs_nothing(world: World) -> None:
    async def watch() -> tuple[int, int]:
        one = hub(looked(world))
        stream = one.watch(all_runs, "")
        await told(stream)
        await stream.aclose()
        task = one._task
        assert task is not None
        await asyncio.wait_for(task, SOON)
        before = one.looks
        await asyncio.sleep(0.05)
        return before, one.looks

    before, after = asyncio.run(watch())
    assert before == after


def test_an_ended_run_is_read_once(world: World) -> None:
    world.push()
    run = run_id("t1")
    world.hear(m.CancelRun(run=run, by="grace"))
    world.hear(world.finished("lint", Outcome.CANCELLED))
    look = cast(Looking, looked(world))
    first = look_at(look, [run], [], Moment())
    assert first.ended == {run: world.run().version}
    assert first.versions == {}
    assert look_at(look, [run], [], first) == first
