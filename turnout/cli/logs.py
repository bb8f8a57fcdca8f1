"""`turnout logs`."""

from __future__ import annotations

import sys
import time

from turnout.cli.reaching import reach
from turnout.cli.shown import print_json
from turnout.looking import AttemptLog
from turnout.reach import Sight


def logs(given: str, stage: str, *, follow: bool, as_json: bool) -> None:
    """Print what is there; with ``follow``, go on until the run has ended and all of it was printed."""
    system = reach()
    sight, run = system.sight, system.sight.run(given).id
    printed: dict[tuple[str, int], int] = {}
    while True:
        ended = sight.run(run).finished
        for each in sight.logs(run, stage):
            _print_from(sight, run, each, printed, as_json, whole=ended or not follow)
        if ended or not follow:
            return
        time.sleep(system.every)


def _print_from(
    sight: Sight,
    run: str,
    log: AttemptLog,
    printed: dict[tuple[str, int], int],
    as_json: bool,
    *,
    whole: bool,
) -> None:
    """What is new; but for a line that is still being written, unless the ``whole`` is wanted."""
    place = (log.task, log.attempt)
    rest = b""
    while (start := printed.get(place, 0) + len(rest)) < log.size:
        part = sight.log(run, log.task, log.attempt, start=start)
        if not part.content:
            break
        content = rest + part.content
        end = len(content) if whole and part.next >= log.size else content.rfind(b"\n") + 1
        _print(log, start - len(rest), content[:end], as_json)
        printed[place] = start - len(rest) + end
        rest = content[end:]


def _print(log: AttemptLog, start: int, content: bytes, as_json: bool) -> None:
    if not content:
        return
    text = content.decode(errors="replace")
    if as_json:
        print_json({"task": log.task, "attempt": log.attempt, "offset": start, "text": text})
        return
    if start == 0:
        sys.stdout.write(f"── {log.task} · attempt {log.attempt} ──\n")
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()
