"""``python -m tests.chaos --runs 200 --seed 7``: a burst under strikes, and what came of it. See docs/chaos.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.performance import Outcome, Performance
from tests.chaos.schedule import Kind, choices, schedule
from tests.chaos.telling import figures, table
from tests.chaos.theatre import Theatre

STRIKES = len(choices())
"""Every kind on every target once."""


def play(
    home: Path, *, runs: int, seed: int, strikes: int, kinds: list[Kind], say: Callable[[str], None]
) -> Outcome:
    planned = schedule(seed, strikes, choices(kinds))
    with Theatre(home) as theatre:
        return Performance(theatre, planned, seed, runs, say).play()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="(default: the clock's)")
    parser.add_argument("--strikes", type=int, default=STRIKES)
    parser.add_argument("--kinds", default="", help=f"separated by commas, of: {', '.join(Kind)}")
    parser.add_argument("--home", type=Path, help="keep everything there (default: a temporary folder)")
    asked = parser.parse_args()
    kinds = [Kind(each.strip()) for each in asked.kinds.split(",") if each.strip()] or list(Kind)
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)

    print(f"seed {asked.seed}: {asked.runs} runs, {asked.strikes} strikes", flush=True)
    with tempfile.TemporaryDirectory(prefix="turnout-chaos-") as made:
        home = asked.home or Path(made)
        home.mkdir(parents=True, exist_ok=True)
        outcome = play(home, runs=asked.runs, seed=asked.seed, strikes=asked.strikes, kinds=kinds, say=say)
    print("", *table(outcome), "", *figures(outcome), sep="\n")
    if outcome.problems:
        print(f"\nto see it again: make chaos RUNS={asked.runs} SEED={asked.seed}")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
