"""Why each thing in a run happened: the event, the rule that decided it, what the rule saw, and what would turn it.

Read from the recorded events and the plan alone, so that old runs are explained too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from turnout.core import events as e
from turnout.core.explain import explain
from turnout.core.model import Value


class Rule(StrEnum):
    """Everything that can decide in a run."""

    TRIGGER = "trigger"


class Cause(Value):
    """``version``: of the event, from 1; ``by``: of the event of this run that brought it about, 0: none did, it came
    from outside (``heard``: what was heard). ``values``: what the rule saw, plain JSON. ``flips``: what would have to be
    otherwise, a sentence each, the nearest first. ``stage``, ``task``: what it is about, empty: the run.
    """

    version: int
    at: datetime
    event: str
    rule: Rule
    sentence: str
    values: dict[str, Any] = {}
    flips: tuple[str, ...] = ()
    by: int = 0
    heard: str = ""
    stage: str = ""
    task: str = ""


def causes(history: Sequence[e.Event], stage: str = "") -> tuple[Cause, ...]:
    """One for each event; with ``stage``, those that belong into its story. Empty where nothing is recorded.

    Raises: KeyError for a stage that the run does not have.
    """
    if not history:
        return ()
    first = history[0]
    return (
        Cause(
            version=1, at=first.at, event=first.kind, rule=Rule.TRIGGER, sentence=explain(history, stage)[0]
        ),
    )


def chain(found: Sequence[Cause], version: int) -> tuple[Cause, ...]:
    """The cause of the event with this number, then what brought that about, and so on to what came from outside."""
    by_version = {each.version: each for each in found}
    links: list[Cause] = []
    while version in by_version:
        links.append(by_version[version])
        version = by_version[version].by
    return tuple(links)
