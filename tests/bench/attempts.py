"""What an attempt costs: ``python -m tests.bench.attempts``. Times in milliseconds, fastest and median.

``processor`` is the processor time of an attempt that runs one command, its worker left out, which other work on the
machine changes least.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from agents.sdk.attempt import folder_of
from agents.sdk.channel import Begin
from agents.sdk.forkserver import ForkServer
from agents.sdk.orphans import remove_folder
from tests.adapters.repositories import repository
from tests.agents.sdk.hosts import Bench, bench
from tests.bench.memory import family
from tests.bench.timeline import STAMP
from turnout.core.model import Outcome

ROUNDS = 40
WARM = 5


def first_word(made: Bench, number: int) -> float:
    """From asking for a fork to the first line that the attempt says, which is before its checkout."""
    task = made.task("quick", task="first-word", number=number)
    began = time.monotonic()
    forked = made.host.forks.borrow("")
    forked.channel.send(Begin(task=task, agent=made.host.agents["quick"], home=made.home, sandbox="none"))
    while not forked.channel.receive():
        pass
    took = time.monotonic() - began
    while forked.pid is None:  # only what is known to live can be killed
        forked.hear_status()
    made.host.forks.kill(forked)
    while forked.hear_status():
        pass
    forked.close()
    return took


def processor(home: Path, origin: Path, sha: str, sandbox: str) -> float:
    """Milliseconds an attempt, of all that the worker's zygote has started and of itself."""
    forks = ForkServer(["agents.script.agent:run"], sandbox)
    forks.start()
    with bench(home, origin, sha, sandbox=sandbox, forks=forks) as made:
        made.host = replace(made.host, agents={"script": "agents.script.agent:run"})
        spent = 0.0
        for number in range(-WARM, ROUNDS):
            if number == 0:
                spent = _spent(forks.pid)
            task = made.task("script", number=number + WARM + 1, options={"run": STAMP, "shell": "sh"})
            assert made.finish(task).result.outcome is Outcome.SUCCESS
            remove_folder(folder_of(home, task.attempt))
        spent = _spent(forks.pid) - spent
    forks.close()
    return spent / ROUNDS


def _spent(root: int | None) -> float:
    """Milliseconds of processor time since the start, of what has ended as well."""
    assert root is not None
    ticks = 0
    for pid in family([root]):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended; its parent has the time
        ticks += sum(int(field) for field in fields[11:15])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


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
        spent = {each: processor(Path(folder, each), origin, sha, each) for each in ("auto", "none")}
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {ROUNDS} rounds")
    for name, found in times.items():
        print(f"{name:18} {min(found) * 1000:6.1f} {statistics.median(found) * 1000:6.1f}")
    for sandbox, each in spent.items():
        print(f"processor, sandbox {sandbox}: {each:.1f}")


if __name__ == "__main__":
    main()
