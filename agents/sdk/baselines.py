"""The last findings of a branch, as the worker keeps them: read before an attempt, replaced after it.

A branch's report is replaced by whichever attempt on it ended last, well or badly; not by one that could not do its
work.
"""

from __future__ import annotations

from collections.abc import Callable

from turnout.core.errors import NotFound, TurnoutError
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome
from turnout.core.ports import Artifacts
from turnout.core.result import Result

LARGEST = 16 * 1024 * 1024  # bytes; it travels to the attempt's process in one message


def read(artifacts: Artifacts, task: TaskRequested, say: Callable[[str], None]) -> str | None:
    """None: there is none. Raises: TransientError when the store is away; without the answer, old would look new."""
    if task.baseline is None:
        return None
    try:
        content = artifacts.get(task.baseline.key)
    except NotFound:
        return None
    if len(content) > LARGEST:
        say(
            f"▸ the last report of {task.baseline.branch} has {len(content)} bytes, too many to compare with\n"
        )
        return None
    return content.decode("utf-8", "replace")


def keep(
    artifacts: Artifacts,
    task: TaskRequested,
    result: Result,
    findings: bytes | None,
    say: Callable[[str], None],
) -> None:
    """Where it cannot be kept, the log says so: the attempt's own report is kept apart."""
    if task.baseline is None or not task.baseline.keeps or not task.trusted or findings is None:
        return
    if result.outcome not in (Outcome.SUCCESS, Outcome.FAILURE):
        return
    try:
        artifacts.put(task.baseline.key, findings, "application/sarif+json")
    except (TurnoutError, OSError) as error:
        say(f"▸ later runs will not be compared with this one: {error}\n")
