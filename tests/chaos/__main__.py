"""``python -m tests.chaos --runs 200 --seed 7``: a burst under strikes, and what came of it. See docs/chaos.md."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.performance import Outcome, Performance
from tests.chaos.schedule import Kind, choices, schedule
from tests.chaos.telling import DOCUMENT, figures, table, write
from tests.chaos.theatre import Theatre

COMMAND = "make chaos"
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
    parser.add_argument("--write", action="store_true", help=f"put what came of it into {DOCUMENT.name}")
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
    lines = [*table(outcome), "", *map(_item, figures(outcome))]
    print("", *lines, sep="\n")
    if asked.write:
        write(COMMAND, [f"Seed {asked.seed}, on {os.cpu_count()} cores:", "", *lines])
    if outcome.problems:
        print(f"\nto see it again: make chaos RUNS={asked.runs} SEED={asked.seed}")
    return 1 if outcome.problems else 0


def _item(line: str) -> str:
    """Of a list in Markdown; an indented line belongs to the one before."""
    plain = line.lstrip()
    return f"{line[: len(line) - len(plain)]}- {plain}"


if __name__ == "__main__":
    sys.exit(main())
