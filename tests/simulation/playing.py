"""Worlds by their seeds: played one by one or many at once, and the smallest story of one that fails."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tests.simulation.invariants import Broken
from tests.simulation.scenario import scenario
from tests.simulation.world import World, simulated

BUDGET = 400
"""Worlds that are played at most to find the smallest story."""
T = TypeVar("T")
Line = tuple[float, str, str]


@dataclass(frozen=True, slots=True)
class Played:
    """One world. ``strikes``: faults at I/O points that happened; ``planned``: pushes, acts and longer faults.

    ``length``: seconds of the world's own time.
    """

    seed: int
    broken: Broken | None
    strikes: tuple[str, ...]
    planned: tuple[str, ...]
    windows: int
    runs: int
    events: int
    steps: int
    length: float


@dataclass
class Total:
    """Of many worlds. ``seconds``: of real time."""

    seeds: int = 0
    runs: int = 0
    events: int = 0
    faults: int = 0
    seconds: float = 0.0
    length: float = 0.0
    broken: list[Played] = field(default_factory=list)

    def add(self, played: Played) -> None:
        self.seeds += 1
        self.runs += played.runs
        self.events += played.events
        self.faults += len(played.strikes) + played.windows
        self.length += played.length
        if played.broken is not None:
            self.broken.append(played)

    def __str__(self) -> str:
        return (
            f"{self.seeds:,} seeds in {self.seconds:.1f} s ({self.seeds / max(self.seconds, 1e-9):.0f} a second): "
            f"{self.runs:,} runs, {self.events:,} events, {self.faults:,} faults, "
            f"{self.length / 3600:,.0f} hours of their own time; {len(self.broken)} failed"
        )


def play(seed: int, only: Iterable[str] | None = None, story: list[Line] | None = None) -> Played:
    """Call it within `simulated`."""
    world = World(scenario(seed), None if only is None else frozenset(only), story)
    world.run()
    watch = world.watch
    pushes, acts, windows = world.pushes, world.acts, world.windows
    planned = (*(each.id for each in pushes), *(each.id for each in acts), *(each.id for each in windows))
    return Played(
        seed=seed,
        broken=watch.broken[0] if watch.broken else None,
        strikes=tuple(world.faults.struck),
        planned=planned,
        windows=len(windows),
        runs=len(watch.states),
        events=watch.events,
        steps=world.kernel.steps,
        length=world.kernel.now,
    )


def play_all(seeds: Iterable[int], stop: Callable[[Played], bool] = lambda _: False) -> Total:
    """One after the other, in this process."""
    total, begun = Total(), time.perf_counter()
    with simulated():
        for seed in seeds:
            played = play(seed)
            total.add(played)
            if stop(played):
                break
    total.seconds = time.perf_counter() - begun
    return total


def play_many(first: int, count: int, processes: int) -> Total:
    """On several cores."""
    begun, chunk = time.perf_counter(), 50
    parts = [range(at, min(at + chunk, first + count)) for at in range(first, first + count, chunk)]
    total = Total()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for part in pool.imap_unordered(play_all, parts):
            total.seeds += part.seeds
            total.runs += part.runs
            total.events += part.events
            total.faults += part.faults
            total.length += part.length
            total.broken += part.broken
    total.broken.sort(key=lambda each: each.seed)
    total.seconds = time.perf_counter() - begun
    return total


# --- the smallest story -----------------------------------------------------------------------------


def smallest(
    seed: int, play: Callable[[int, Iterable[str] | None], Played] = play
) -> tuple[Played, list[str]] | None:
    """Of all that happens in this world, what is enough to break the same invariant; None: it does not fail."""
    whole = play(seed, None)
    if whole.broken is None:
        return None
    name, left = whole.broken.name, BUDGET

    def fails(kept: Sequence[str]) -> bool:
        nonlocal left
        left -= 1
        if left < 0:
            return False
        found = play(seed, kept).broken
        return found is not None and found.name == name

    kept = _fewest([*whole.planned, *whole.strikes], fails)
    return play(seed, kept), kept


def _fewest(items: list[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Delta debugging: leave out parts, ever smaller ones, for as long as it still fails.

    Source: Zeller, Hildebrandt: Simplifying and isolating failure-inducing input (2002).
    """
    size = max(1, len(items) // 2)
    while items:
        at, removed = 0, False
        while at < len(items):
            fewer = items[:at] + items[at + size :]
            if len(fewer) < len(items) and fails(fewer):
                items, removed = fewer, True
            else:
                at += size
        if size == 1 and not removed:
            break
        size = max(1, size // 2)
    return items


def story(seed: int, only: Iterable[str] | None = None) -> tuple[Played, list[Line]]:
    lines: list[Line] = []
    return play(seed, only, lines), lines


def told(lines: Iterable[Line]) -> str:
    """As people read it: when, who, what."""
    return "\n".join(f"{at:10.3f} s  {who:<22} {what}" for at, who, what in lines)


def explained(seed: int) -> str:
    """Everything about a world that fails: the invariant, and the smallest story in which it breaks."""
    with simulated():
        found = smallest(seed)
        if found is None:
            return f"seed {seed}: every invariant holds"
        least, kept = found
        _, lines = story(seed, kept)
    enough = f"enough for it to happen: {', '.join(kept) or 'nothing at all'}"
    return (
        f"seed {seed} breaks an invariant\n{least.broken}\n{enough}\n\n{told(lines)}\n\n"
        f"make simulate SEED={seed}"
    )
