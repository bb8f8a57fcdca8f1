"""The parts of the benchmark. Each gives plain values, as they are kept in JSON; times in milliseconds."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.bench.cluster import Cluster
from tests.bench.history import fill
from tests.bench.systems import OPEN, Surroundings, running
from tests.bench.timeline import Timeline
from tests.bench.turnout_stack import TurnoutStack

IDLE = 3.0
"""Seconds of quiet before memory is looked at."""
SCALES = ((1, 1), (1, 6), (1, 12), (2, 6), (4, 6))
"""Stacks, and partitions of each topic."""
WIDTHS = (1, 2, 5, 10, 20, 50, 100, 200)
HISTORIES = (1_000, 10_000, 100_000, 1_000_000)

Found = dict[str, Any]


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def samples(timelines: Sequence[Timeline]) -> Found:
    return {
        "accept": [each.accept for each in timelines],
        "start": [each.start for each in timelines],
        "step": [step for each in timelines for step in each.steps],
        "whole": [each.whole for each in timelines],
    }


def latency(names: Sequence[str], rounds: int) -> Found:
    """One pipeline of each system in turn, ``rounds`` times; and what each holds in memory when idle."""
    with workplace() as folder, running(names, folder) as systems:
        time.sleep(IDLE)
        memory = {each.name: each.memory() for each in systems}
        found: dict[str, list[Timeline]] = {each.name: [] for each in systems}
        for number in range(rounds):
            for each in systems:
                found[each.name].append(each.one())
            say(f"latency: round {number + 1} of {rounds}")
    return {name: samples(timelines) | {"memory": memory[name]} for name, timelines in found.items()}


def burst(names: Sequence[str], rounds: int, pipelines: int) -> Found:
    """As many pipelines asked for at once, of each system in turn."""
    with workplace() as folder, running(names, folder) as systems:
        found: dict[str, list[float]] = {each.name: [] for each in systems}
        for number in range(rounds):
            for each in systems:
                rate = each.burst(pipelines).rate
                found[each.name].append(rate)
                say(f"burst: round {number + 1} of {rounds}, {each.name}: {rate:.1f} pipelines/s")
    return {name: {"rates": rates, "pipelines": pipelines} for name, rates in found.items()}


def width(rounds: int, widths: Sequence[int] = WIDTHS) -> Found:
    """Stages side by side: from the request to the first and to the last command."""
    with workplace() as folder:
        stack = TurnoutStack("turnout", folder / "turnout")
        stack.start()
        try:
            stack.one()
            found: dict[int, list[Timeline]] = {each: [] for each in widths}
            for number in range(rounds):
                for each in widths:
                    found[each].append(stack.side_by_side(each))
                say(f"width: round {number + 1} of {rounds}")
        finally:
            stack.stop()
    return {
        str(each): {
            "first": [(min(line.stamps) - line.sent) / 1e6 for line in lines],
            "whole": [line.whole for line in lines],
        }
        for each, lines in found.items()
    }


def history(rounds: int, histories: Sequence[int] = HISTORIES) -> Found:
    """The same pipelines in stores with more and more events, all of them up at once, in turn."""
    with workplace() as folder, ExitStack() as ending:
        stacks: dict[int, TurnoutStack] = {}
        held: dict[int, int] = {}
        for each in histories:
            stack = TurnoutStack(f"history-{each}", folder / str(each), OPEN)
            stack.start()
            try:
                stack.one()
            finally:
                stack.stop()
            began = time.monotonic()
            held[each] = fill(folder / str(each) / "home" / "turnout.db", each)
            say(f"history: {held[each]:,} events after {time.monotonic() - began:.0f} s")
            stacks[each] = stack
        for stack in stacks.values():
            ending.callback(stack.stop)
            stack.start()
            for _ in range(3):
                stack.one()
        found: dict[int, list[Timeline]] = {each: [] for each in histories}
        for number in range(rounds):
            for each, stack in stacks.items():
                found[each].append(stack.one())
            say(f"history: round {number + 1} of {rounds}")
    return {str(each): samples(lines) | {"events": held[each]} for each, lines in found.items()}


def scale(rounds: int, pipelines: int) -> Found:
    """Bursts on Kafka and PostgreSQL, by partitions and by stacks that share the work: each alone, in turn."""
    found: dict[str, Found] = {
        f"{processes}-{partitions}": {"processes": processes, "partitions": partitions, "rates": []}
        for processes, partitions in SCALES
    }
    for number in range(rounds):
        for name, each in found.items():
            with workplace() as folder, ExitStack() as ending:
                cluster = Cluster(name, Surroundings(ending, folder), each["processes"], each["partitions"])
                ending.callback(cluster.stop)
                cluster.start()
                each["rates"].append(cluster.burst(pipelines).rate)
            say(f"scale: round {number + 1} of {rounds}, {name}: {each['rates'][-1]:.1f} pipelines/s")
    return found


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for the time of a measurement."""
    folder = Path(tempfile.mkdtemp(prefix="turnout-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
