"""``python -m tests.chaos --runs 200 --seed 7``: a burst under strikes, and what came of it. See docs/chaos.md."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.chaos.performance import Outcome, Performance
from tests.chaos.schedule import LAUNCHED, PROCESSES, Kind, choices, schedule
from tests.chaos.telling import DOCUMENT, figures, table, write
from tests.chaos.theatre import Theatre

COMMAND = "make chaos"
STRIKES = len(choices())
"""Every kind on every target once."""
AT_JOBS = (Kind.KILL, Kind.FREEZE)
"""What strikes where attempts are launched jobs; the rest is no different there."""
STRIKES_AT_JOBS = len(choices(AT_JOBS, LAUNCHED))


def play(
    home: Path,
    *,
    runs: int,
    seed: int,
    strikes: int,
    kinds: Sequence[Kind],
    say: Callable[[str], None],
    launched: bool = False,
) -> Outcome:
    planned = schedule(seed, strikes, choices(kinds, LAUNCHED if launched else PROCESSES))
    with Theatre(home, launched=launched) as theatre:
        return Performance(theatre, planned, seed, runs, say).play()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="(default: the clock's)")
    parser.add_argument("--strikes", type=int, help="(default: every kind on every target once)")
    parser.add_argument("--launched", action="store_true", help="every attempt is a job behind the gateway")
    parser.add_argument("--kinds", default="", help=f"separated by commas, of: {', '.join(Kind)}")
    parser.add_argument("--home", type=Path, help="keep everything there (default: a temporary folder)")
    parser.add_argument("--write", action="store_true", help=f"put what came of it into {DOCUMENT.name}")
    asked = parser.parse_args()
    usual = AT_JOBS if asked.launched else tuple(Kind)
    kinds = [Kind(each.strip()) for each in asked.kinds.split(",") if each.strip()] or list(usual)
    strikes = asked.strikes if asked.strikes is not None else STRIKES_AT_JOBS if asked.launched else STRIKES
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)

    print(f"seed {asked.seed}: {asked.runs} runs, {strikes} strikes", flush=True)
    with tempfile.TemporaryDirectory(prefix="turnout-chaos-") as made:
        home = asked.home or Path(made)
        home.mkdir(parents=True, exist_ok=True)
        outcome = play(
            home,
            runs=asked.runs,
            seed=asked.seed,
            strikes=strikes,
            kinds=kinds,
            say=say,
            launched=asked.launched,
        )
    lines = [*table(outcome), "", *map(_item, figures(outcome))]
    print("", *lines, sep="\n")
    if asked.write:
        write(COMMAND, [f"Seed {asked.seed}, on {os.cpu_count()} cores:", "", *lines])
    if outcome.problems:
        jobs = " LAUNCHED=1" if asked.launched else ""
        print(f"\nto see it again: make chaos RUNS={asked.runs} SEED={asked.seed}{jobs}")
    return 1 if outcome.problems else 0


def _item(line: str) -> str:
    """Of a list in Markdown; an indented line belongs to the one before."""
    plain = line.lstrip()
    return f"{line[: len(line) - len(plain)]}- {plain}"


if __name__ == "__main__":
    sys.exit(main())
