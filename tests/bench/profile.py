"""``python -m tests.bench.profile [ROUNDS]``: where the time of a stage goes, by what the system itself has noted.

Every instant is one that is kept anyway: the events' own times, the time at which an agent said something, and the
command's stamp. Milliseconds: median, 5 % and 95 % of the stages after the first; the parts add up to the step.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.bench.figures import Spread
from tests.bench.memory import family
from tests.bench.repositories import IN_ORDER
from tests.bench.timeline import STAGES, Timeline
from tests.bench.turnout_stack import TurnoutStack
from turnout.stack.layout import read_running

STARTED, FINISHED = "turnout.task.started", "turnout.task.finished"


@dataclass(frozen=True)
class Stage:
    """Milliseconds since the epoch. ``decided``: the orchestrator took what led to this stage; ``claimed``: the agent
    has claimed the attempt, and says that it starts; ``noted``: the store began to write that down; ``stamp``: the
    command ran; ``finished``: the agent said so; ``heard``: the orchestrator took it."""

    decided: float
    claimed: float
    noted: float
    stamp: float
    finished: float
    heard: float


PARTS: dict[str, tuple[str, str]] = {
    "decide, commit, wake the agent, claim": ("decided", "claimed"),
    "wait to write that it starts": ("claimed", "noted"),
    "write it and the place, hand to a process, sandbox, shell": ("noted", "stamp"),
    "end the tool, read outputs, keep the log, say the result": ("stamp", "finished"),
    "publish, dispatch, post to the orchestrator": ("finished", "heard"),
}
WHOLE = "a step, command to command"
STACKS = {"sandbox": {}, "no sandbox": {"TURNOUT_SANDBOX": "none"}}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {rounds} rounds, ms: p50 (p5 to p95)")
    for name, found in profile(rounds).items():
        print(f"{name}:")
        for what, samples in found["parts"].items():
            spread = Spread.of(samples)
            print(f"  {what:60} {spread.p50:7.1f} ({spread.p5:.1f} to {spread.p95:.1f})")
        for part, used in found["processor"].items():
            print(f"  {f'processor time of {part}, a stage':60} {used:7.1f}")


def profile(rounds: int) -> dict[str, Any]:
    """By the kind of sandbox: ``parts``: what to samples in milliseconds; ``processor``: milliseconds a stage."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        for name, settings in STACKS.items():
            stack = TurnoutStack(name, Path(folder, name.replace(" ", "-")), settings)
            stack.start()
            try:
                found[name] = measure(stack, rounds)
            finally:
                stack.stop()
    return found


def measure(stack: TurnoutStack, rounds: int) -> dict[str, Any]:
    for _ in range(3):
        stack.one()
    spent = processor_time(stack)
    timelines = [stack.one() for _ in range(rounds)]
    after = processor_time(stack)
    runs = [stages_of(stack, run) for run in newest(stack, rounds)]
    first = [stages[0] for stages in runs]
    later = [stage for stages in runs for stage in stages[1:]]
    parts: dict[str, list[float]] = {
        "from the request to the run's creation": _from_request(timelines, first),
        "from there to the first command": [each.stamp - each.decided for each in first],
    }
    for what, (begin, end) in PARTS.items():
        parts[f"… {what}"] = [getattr(each, end) - getattr(each, begin) for each in later]
    parts[WHOLE] = [step for each in timelines for step in each.steps]
    return {
        "parts": parts,
        "processor": {
            part: (seconds - spent.get(part, 0.0)) * 1000 / (rounds * STAGES)
            for part, seconds in after.items()
        },
    }


def _from_request(timelines: Sequence[Timeline], first: Sequence[Stage]) -> list[float]:
    return [stage.decided - each.sent / 1e6 for each, stage in zip(timelines, first, strict=True)]


def newest(stack: TurnoutStack, count: int) -> list[str]:
    """The ids of the newest runs, the oldest of them first."""
    return [each.id for each in stack.wiring.store.runs(limit=count)][::-1]


def stages_of(stack: TurnoutStack, run: str) -> list[Stage]:
    """In order. What agents said is read from the log's records."""
    said: dict[tuple[str, str], tuple[float, float]] = {}
    statement = text(
        "SELECT headers, value, created_at FROM outbox WHERE topic = 'agent.results' ORDER BY id"
    )
    with stack.wiring.store.database.read() as connection:
        rows = connection.execute(statement).all()
    for headers, value, created in rows:
        named, body = dict(json.loads(headers)), json.loads(value)
        if body.get("run") == run:
            said.setdefault(
                (named["ce_type"], body["task"]), (_milliseconds(named["ce_time"]), created / 1000)
            )
    launched: dict[str, float] = {}
    heard: dict[str, float] = {}
    for stored in stack.wiring.store.events(run):
        match stored.event.kind:
            case "attempt_launched":
                launched[stored.event.task] = stored.event.at.timestamp() * 1000
            case "attempt_finished":
                heard[stored.event.task] = stored.event.at.timestamp() * 1000
            case _:
                pass
    return [
        Stage(
            decided=launched[name],
            claimed=said[STARTED, name][0],
            noted=said[STARTED, name][1],
            stamp=stamp / 1e6,
            finished=said[FINISHED, name][0],
            heard=heard[name],
        )
        for name, stamp in zip(IN_ORDER, stack.stamps(run, IN_ORDER), strict=True)
    ]


def _milliseconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp() * 1000


def processor_time(stack: TurnoutStack) -> dict[str, float]:
    """Seconds since the start, by part; of what it has started as well, once that has ended."""
    running = read_running(stack.wiring.settings.home)
    assert running is not None
    ticks = os.sysconf("SC_CLK_TCK")
    spent = {}
    for part, root in running.parts.items():
        total = 0
        for pid in family([root]):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended; its parent has the time
            total += sum(int(field) for field in fields[11:15])
        spent[part] = total / ticks
    return spent


if __name__ == "__main__":
    main()
