"""Worlds by the hundred: whatever goes wrong, every invariant holds in the end."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.playing import Total, explained, play_all, play_many

FEW, MANY = 200, 10_000
TOLD = 2
"""Failing seeds that are explained."""


def check(total: Total) -> None:
    stories = "\n\n".join(explained(each.seed) for each in total.broken[:TOLD])
    seeds = ", ".join(str(each.seed) for each in total.broken)
    assert not total.broken, f"{total}\nseeds that failed: {seeds}\n\n{stories}"


def test_every_invariant_holds_in_a_few_hundred_worlds() -> None:
    total = play_all(range(FEW))
    check(total)
    assert total.runs > FEW
    assert total.faults > FEW, "worlds in which nothing goes wrong show nothing"


@pytest.mark.real
@pytest.mark.timeout(900)
def test_every_invariant_holds_in_ten_thousand_worlds(capsys: pytest.CaptureFixture[str]) -> None:
    total = play_many(0, MANY, os.cpu_count() or 1)
    with capsys.disabled():
        print(f"\nsimulation: {total}")
    check(total)
    assert total.seeds == MANY


def test_the_same_seed_is_the_same_world_in_every_process() -> None:
    def told(hash_seed: str) -> str:
        program = (
            "from tests.simulation.playing import story, told\n"
            "from tests.simulation.world import simulated\n"
            "with simulated():\n"
            "    for seed in (3, 11, 42):\n"
            "        played, lines = story(seed)\n"
            "        print(played, told(lines))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    first = told("1")
    assert len(first.splitlines()) > 100
    assert told("2") == first
