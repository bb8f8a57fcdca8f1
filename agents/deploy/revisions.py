"""Helm's history of a release, read and judged. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agents.sdk.workspace import AgentError
from turnout.core.messages import TaskRequested

PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")
_GOOD = ("deployed", "superseded")


@dataclass(frozen=True, slots=True)
class Revision:
    number: int
    status: str
    description: str = ""
    updated: datetime | None = None

    @property
    def pending(self) -> bool:
        return self.status in PENDING


def read_history(text: bytes) -> tuple[Revision, ...]:
    """Oldest first, as ``helm history --output json`` has it. Raises: AgentError."""
    try:
        found = [
            Revision(
                int(each["revision"]),
                str(each["status"]),
                str(each.get("description", "")),
                _time(str(each.get("updated", ""))),
            )
            for each in json.loads(text)
        ]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise AgentError(f"helm's history cannot be read ({error})") from error
    return tuple(sorted(found, key=lambda each: each.number))


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def mark(task: TaskRequested) -> str:
    """The description of what this attempt makes."""
    return f"{_of_task(task)}, attempt {task.attempt}"


def _of_task(task: TaskRequested) -> str:
    return f"turnout: run {task.run}, task {task.task}"


def is_mine(each: Revision, task: TaskRequested) -> bool:
    """Whether an attempt of this task has made it."""
    return each.description.startswith(f"{_of_task(task)}, attempt ")


def mine(history: Sequence[Revision], task: TaskRequested) -> Revision | None:
    """What an attempt of this task, before this one, has brought to its end; None: nothing."""
    if history and history[-1].status == "deployed" and is_mine(history[-1], task):
        return history[-1]
    return None


def good(history: Sequence[Revision], below: int | None = None) -> int | None:
    """The newest revision that came to its end, of those below a number; None: there is none."""
    numbers = [
        each.number for each in history if each.status in _GOOD and (below is None or each.number < below)
    ]
    return numbers[-1] if numbers else None


def rolled_back_to(each: Revision) -> int | None:
    """The revision that this one is a repetition of. Source: helm, pkg/action/rollback.go."""
    words = each.description.split()
    return int(words[2]) if words[:2] == ["Rollback", "to"] and words[2:3] and words[2].isdecimal() else None
