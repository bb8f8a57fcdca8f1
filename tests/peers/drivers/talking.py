"""What the drivers share: a driver is a process in the peers' environment that runs pipelines when it is told to.

A line in: ``one`` or ``burst N``. A line out, JSON: the fields of `tests.bench.timeline.Timeline` or `Burst`. The first
line out, ``ready``, says that pipelines can be asked for. The driver notes the times itself, with nothing in between.
Only the standard library, and the system that is driven, may be imported here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.bench.timeline import STAGES, STAMP, read_stamp


def command() -> int:
    """A stage: the command as a child process; its stamp. Raises: AssertionError when it said nothing."""
    said = subprocess.run(["sh", "-c", STAMP], check=True, capture_output=True).stdout
    stamp = read_stamp(said)
    assert stamp is not None, said
    return stamp


def one(begin: Callable[[], Any], end: Callable[[Any], Sequence[int]]) -> dict[str, Any]:
    """``begin`` asks for a pipeline; ``end`` waits for what it gave, and gives the stamps of all stages."""
    sent = time.time_ns()
    asked = begin()
    answered = time.time_ns()
    stamps = end(asked)
    assert len(stamps) == STAGES, stamps
    return {"sent": sent, "answered": answered, "stamps": list(stamps)}


def burst(pipelines: int, begin: Callable[[], Any], end: Callable[[Any], Sequence[int]]) -> dict[str, Any]:
    """As many, asked for one after another without waiting."""
    began = time.time_ns()
    asked = [begin() for _ in range(pipelines)]
    taken = time.time_ns()
    ended = max(max(end(each)) for each in asked)
    return {"pipelines": pipelines, "began": began, "taken": taken, "ended": ended}


def serve(run_one: Callable[[], dict[str, Any]], run_burst: Callable[[int], dict[str, Any]]) -> None:
    """Until the end of the input."""
    say("ready")
    for line in sys.stdin:
        match line.split():
            case ["one"]:
                say(json.dumps(run_one()))
            case ["burst", number]:
                say(json.dumps(run_burst(int(number))))
            case other:
                raise ValueError(f"{other}: expected `one` or `burst N`")


def say(line: str) -> None:
    sys.__stdout__.write(f"{line}\n") if sys.__stdout__ else None
    sys.stdout.flush()
