"""`turnout logs`."""

from __future__ import annotations

import sys
import time

from turnout.cli.finding import find_run
from turnout.cli.shown import print_json
from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import NotFound
from turnout.core.run import Run
from turnout.wiring import wiring

EVERY = 0.2


def logs(given: str, stage: str, *, follow: bool, as_json: bool) -> None:
    """Print what is there; with ``follow``, go on until the run has ended and all of it was printed."""
    run = find_run(given)
    if stage and stage not in run.stages:
        raise NotFound(f"run {run.id[:12]} has no stage {stage!r}", f"it has {', '.join(run.stages)}")
    printed: dict[str, int] = {}
    while True:
        state = wiring().store.load(run.id) or run
        ended = state.finished
        for task, number, key in _keys(state, stage):
            _print_from(task, number, key, printed, as_json, whole=ended or not follow)
        if ended or not follow:
            return
        time.sleep(EVERY)


def _keys(run: Run, stage: str) -> list[tuple[str, int, str]]:
    return [
        (task.id, attempt.number, attempt_key(run.id, task.id, attempt.number))
        for each, task in run.tasks()
        if not stage or each.name == stage
        for attempt in task.attempts
    ]


def _print_from(
    task: str, number: int, key: str, printed: dict[str, int], as_json: bool, *, whole: bool
) -> None:
    """What is new; but for a line that is still being written, unless the ``whole`` is wanted."""
    start = printed.get(key, 0)
    try:
        content = wiring().artifacts.get(key, start)
    except NotFound:
        return
    if not whole:
        content = content[: content.rfind(b"\n") + 1]
    if not content:
        return
    printed[key] = start + len(content)
    text = content.decode(errors="replace")
    if as_json:
        print_json({"task": task, "attempt": number, "offset": start, "text": text})
        return
    if start == 0:
        sys.stdout.write(f"── {task} · attempt {number} ──\n")
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()
