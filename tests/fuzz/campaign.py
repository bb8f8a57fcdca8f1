"""Fuzz every target for a share of the time: ``python -m tests.fuzz.campaign [--seconds N] [TARGET …]``.

Ends with 1 where something was found; the inputs lie in ``--found`` (by default a folder in the cache, so that the next
campaign goes on where this one ended).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.files import SCRATCH, memory
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
MARGIN = 400.0
"""Seconds that a target gets to start, and to end its last input, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """``inputs``: how many were tried. ``found``: the file with what did harm, and ``said``: what happened then."""

    target: str
    inputs: int
    seconds: float
    found: tuple[Path, ...]
    said: str


def fuzz(target: str, seconds: int, found: Path, seed: int = 0) -> Outcome:
    before = set(found.glob(f"{target}-*"))
    began = time.monotonic()
    argv = [sys.executable, "-m", "tests.fuzz.guided", target]
    argv += [f"--seconds={seconds}", f"--found={found}", f"--seed={seed}"]
    # libFuzzer ends the process without another word, so that it cannot clean up after itself
    with tempfile.TemporaryDirectory(prefix="turnout-fuzz-", dir=memory()) as scratch:
        ran = subprocess.run(
            argv,
            cwd=ROOT,
            env={**os.environ, SCRATCH: scratch},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds + MARGIN,
            check=False,
        )
    text = ran.stdout.decode("utf-8", "replace")
    units = re.search(r"number_of_executed_units: (\d+)", text)
    new = tuple(sorted(set(found.glob(f"{target}-*")) - before))
    said = "" if ran.returncode == 0 and not new else text[-3000:]
    return Outcome(target, int(units[1]) if units else 0, time.monotonic() - began, new, said)


def campaign(targets: Sequence[str], seconds: float, found: Path, seed: int = 0) -> list[Outcome]:
    """On every core; ``seconds`` for all of them together."""
    found.mkdir(parents=True, exist_ok=True)
    workers = os.cpu_count() or 1
    share = max(1, int(seconds * workers / len(targets)))
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda target: fuzz(target, share, found, seed), targets))


def table(outcomes: Sequence[Outcome]) -> str:
    lines = [f"{'target':<16}{'inputs':>10}{'a second':>10}  found"]
    for each in outcomes:
        rate = each.inputs / max(each.seconds, 0.1)
        names = ", ".join(path.name for path in each.found) or (
            "nothing" if not each.said else "it ended badly"
        )
        lines.append(f"{each.target:<16}{each.inputs:>10,}{rate:>10,.0f}  {names}")
    return "\n".join(lines)


def main() -> int:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "turnout" / "fuzz"
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("targets", nargs="*", default=sorted(TARGETS))
    given.add_argument("--seconds", type=float, default=600.0)
    given.add_argument("--seed", type=int, default=0)
    given.add_argument("--found", type=Path, default=cache)
    chosen = given.parse_args()
    outcomes = campaign(chosen.targets, chosen.seconds, chosen.found, chosen.seed)
    for each in outcomes:
        if each.said:
            print(f"--- {each.target}\n{each.said}")
    print(table(outcomes))
    bad = [each for each in outcomes if each.said]
    if bad:
        print(f"\nWhat was found lies in {chosen.found}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
