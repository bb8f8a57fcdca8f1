"""``make simulate``: one seed as a story, or many seeds and their rate."""

from __future__ import annotations

import argparse
import os
import sys

from tests.simulation.playing import explained, play_many, story, told
from tests.simulation.scenario import scenario
from tests.simulation.world import simulated

SHOWN = 3


def main() -> int:
    """0: every invariant holds."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seed", type=int, help="tell the whole story of this seed")
    parser.add_argument("--seeds", type=int, default=1000, help="play so many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    asked = parser.parse_args()
    return _one(asked.seed) if asked.seed is not None else _many(asked.first, asked.seeds)


def _one(seed: int) -> int:
    with simulated():
        played, lines = story(seed)
    print(told(lines))
    world = scenario(seed)
    bus = "the outbox is the log" if world.embedded else "a broker"
    print(
        f"\nseed {seed}: {bus}, {world.orchestrators} orchestrators, {world.dispatchers} dispatchers, "
        f"{world.machines} machines with {world.workers} workers each; {played.runs} runs, {played.events} events, "
        f"{len(played.strikes)} faults at I/O points, {len(world.windows)} that lasted, {played.steps:,} steps, "
        f"{played.length:.0f} s of its own time"
    )
    if played.broken is None:
        print("every invariant holds")
        return 0
    print(f"\n{explained(seed)}")
    return 1


def _many(first: int, count: int) -> int:
    total = play_many(first, count, os.cpu_count() or 1)
    print(total)
    for played in total.broken[:SHOWN]:
        print(f"\n{explained(played.seed)}")
    if total.broken:
        print("\nseeds that failed:", *(each.seed for each in total.broken))
    return 1 if total.broken else 0


if __name__ == "__main__":
    sys.exit(main())
