"""What starting an attempt costs: ``python -m tests.bench.attempts``. Times in milliseconds, fastest and median."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

from agents.sdk.channel import Begin
from tests.adapters.repositories import repository
from tests.agents.sdk.hosts import Bench, bench

ROUNDS = 40


def first_word(made: Bench, number: int) -> float:
    """From asking for a fork to the first line that the attempt says, which is before its checkout."""
    task = made.task("quick", task="first-word", number=number)
    began = time.monotonic()
    forked = made.host.forks.borrow("")
    forked.channel.send(Begin(task=task, agent=made.host.agents["quick"], home=made.home, sandbox="none"))
    while not forked.channel.receive():
        pass
    took = time.monotonic() - began
    made.host.forks.kill(forked)
    while forked.hear_status():
        pass
    forked.close()
    return took


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        origin, home = Path(folder, "origin"), Path(folder, "home")
        sha = repository(origin, **{f"src__m{number}_dot_py": "x = 1\n" * 50 for number in range(30)})
        with bench(home, origin, sha) as made:
            made.run("quick")
            times: dict[str, list[float]] = {"first word": [], "agent's function": [], "result": []}
            for number in range(1, ROUNDS + 1):
                times["first word"].append(first_word(made, number))
                began = time.monotonic()
                finished = made.finish(made.task("quick", number=number))
                times["result"].append(time.monotonic() - began)
                times["agent's function"].append(float(finished.result.outputs["began"]) - began)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {ROUNDS} rounds")
    for name, found in times.items():
        print(f"{name:18} {min(found) * 1000:6.1f} {statistics.median(found) * 1000:6.1f}")


if __name__ == "__main__":
    main()
