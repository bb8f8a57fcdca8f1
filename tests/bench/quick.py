"""``python -m tests.bench.quick [ROUNDS]``: Turnout on one machine (SQLite, the embedded log) alone, in half a minute.

With its sandbox, as users have it, and without. Milliseconds: median, 5 % and 95 % of the samples.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.figures import Spread
from tests.bench.turnout_stack import TurnoutStack

BURST = 24
SETTINGS = {"turnout": {}, "turnout, no sandbox": {"TURNOUT_SANDBOX": "none"}}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {rounds} rounds, ms: p50 (p5 to p95)")
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        for name, settings in SETTINGS.items():
            stack = TurnoutStack(name, Path(folder, name.replace(" ", "-")), settings)
            began = time.monotonic()
            stack.start()
            up = time.monotonic() - began
            try:
                show(stack, rounds, up)
            finally:
                stack.stop()


def show(stack: TurnoutStack, rounds: int, up: float) -> None:
    for _ in range(3):
        stack.one()
    print(f"{stack.name}: up in {up:.1f} s, {stack.memory():.0f} MB")
    found = [stack.one() for _ in range(rounds)]
    for what, samples in {
        "accepted": [each.accept for each in found],
        "start": [each.start for each in found],
        "step": [step for each in found for step in each.steps],
        "five stages": [each.whole for each in found],
    }.items():
        spread = Spread.of(samples)
        print(f"  {what:12} {spread.p50:7.1f} ({spread.p5:.1f} to {spread.p95:.1f})")
    burst = stack.burst(BURST)
    print(f"  {'burst':12} {burst.rate:7.1f} pipelines/s of {burst.pipelines}", flush=True)


if __name__ == "__main__":
    main()
