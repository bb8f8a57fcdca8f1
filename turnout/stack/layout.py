"""What the stack consists of, and where things listen: one description for one process or many."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from turnout.core.topics import AGENT_KINDS, AGENT_REPORT, AGENT_RESULTS, PIPELINE_EVENTS, agent_topic

FUNCTIONS = ("webhook", "orchestrator", "launcher", "reporter", "sweeper", "gateway")
CONSOLE = "console"
"""The one function that is an ASGI application, and a part of its own: nothing else loads what it needs."""
RESIDENT = AGENT_KINDS
"""The agent kinds that the local stack keeps resident."""

SUBSCRIPTIONS: Mapping[str, tuple[str, ...]] = {
    "orchestrator": (PIPELINE_EVENTS, AGENT_RESULTS),
    "reporter": (AGENT_REPORT,),
}
"""Function to topics; the launcher's are added where it has runtimes of its own."""

SOURCES = Path(__file__).resolve().parents[2] / "functions"


def source_of(function: str) -> Path:
    return SOURCES / function / "main.py"


def subscriptions(
    launched: bool | Sequence[str], kinds: Sequence[str] = RESIDENT
) -> dict[str, tuple[str, ...]]:
    """``launched``: whether the launcher launches, or on what; otherwise resident agents take the tasks."""
    found = dict(SUBSCRIPTIONS)
    if launched:
        found["launcher"] = tuple(agent_topic(kind) for kind in kinds)
    return found


@dataclass(frozen=True, slots=True)
class Running:
    """What a running stack tells others of itself. ``urls``: function to URL; ``bus``, ``store``: what it uses."""

    pid: int
    urls: Mapping[str, str]
    bus: str
    store: str
    parts: Mapping[str, int] = field(default_factory=dict)
    ready: bool = False


def write_running(home: Path, running: Running) -> None:
    """Raises: OSError; what was said before stays then."""
    temporary = home / f".stack.json.{os.getpid()}"
    try:
        temporary.write_text(json.dumps(asdict(running)))
        temporary.replace(home / "stack.json")
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def forget_running(home: Path) -> None:
    """What an earlier stack said of itself holds no more."""
    (home / "stack.json").unlink(missing_ok=True)


def read_running(home: Path) -> Running | None:
    """The stack of this home as it last described itself; whether it lives is told by `lock.held`."""
    try:
        return Running(**json.loads((home / "stack.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
