"""Why each thing in a run happened: the event, the rule that decided it, what the rule saw, and what would turn it.

Read from the recorded events and the plan alone, so that old runs are explained too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from turnout.core import events as e
from turnout.core.errors import IllegalTransition
from turnout.core.evolve import evolve
from turnout.core.model import Value
from turnout.core.ruling import Rule
from turnout.core.run import Run, rollback_task
from turnout.core.sentences import sentence
from turnout.core.trail import Trail
from turnout.core.why import created, why


class Cause(Value):
    """``version``: of the event, from 1. ``by``: of the event of this run that brought it about, always a smaller one;
    0: none did. ``heard``: what was heard from outside, a message's type or ``time``; empty: nothing new. ``values``:
    what the rule saw, plain JSON. ``flips``: what would have to be otherwise, the nearest first, each without its full
    stop. ``stage``, ``task``: what it is about, empty: the run.
    """

    version: int
    at: datetime
    event: str
    rule: Rule
    sentence: str
    values: dict[str, Any] = Field(default_factory=dict)
    flips: tuple[str, ...] = ()
    by: int = 0
    heard: str = ""
    stage: str = ""
    task: str = ""


def causes(history: Sequence[e.Event], stage: str = "") -> tuple[Cause, ...]:
    """One for each event; with ``stage``, for those that belong into its story. Empty where nothing is recorded.

    Raises: KeyError for a stage that the run does not have.
    """
    if not history or not isinstance(history[0], e.RunCreated):
        return ()
    plan = history[0].plan
    if stage and stage not in ({each.name for each in plan.stages} if plan else ()):
        raise KeyError(stage)
    return tuple(_told(history, history[0], stage))


def chain(found: Sequence[Cause], version: int) -> tuple[Cause, ...]:
    """The cause of the event with this number, then what brought that about, and so on to what came from outside.

    ``found``: of the whole run.
    """
    by_version = {each.version: each for each in found}
    links: list[Cause] = []
    while version in by_version:
        links.append(by_version[version])
        version = by_version[version].by
    return tuple(links)


def _told(history: Sequence[e.Event], first: e.RunCreated, stage: str) -> Iterator[Cause]:
    run, trail = evolve(None, first), Trail()
    for version, event in enumerate(history, start=1):
        of = _stage_of(event, run)
        if not stage or (version > 1 and _concerns(event, stage, of)):
            found = created(event) if isinstance(event, e.RunCreated) else why(event, run, trail)
            yield Cause(
                version=version,
                at=event.at,
                event=event.kind,
                rule=found.rule,
                sentence=sentence(event),
                values=dict(found.values),
                flips=found.flips,
                by=found.by,
                heard=found.heard,
                stage=of,
                task=getattr(event, "task", ""),
            )
        trail.note(version, event)
        if version > 1:
            run = _after(run, event)


def _after(run: Run, event: e.Event) -> Run:
    """What can't follow is told all the same."""
    try:
        return evolve(run, event)
    except IllegalTransition:
        return run


def _stage_of(event: e.Event, run: Run) -> str:
    """The stage that the event is about, empty: the run."""
    if isinstance(event, e.RunHalted | e.RunCreated):
        return ""
    named: str = getattr(event, "stage", "")
    if named:
        return named
    task: str = getattr(event, "task", "")
    if task:
        return run.stage_of(task) or _planned_for(run, task)
    found = run.attempt(event.attempt) if isinstance(event, e.MessageIgnored) and event.attempt else None
    return found[0].name if found else ""


def _planned_for(run: Run, task: str) -> str:
    """Of a rollback's task too, before it is known that there is one."""
    for name, stage in run.stages.items():
        if any(task == rollback_task(id) for id in stage.tasks):
            return name
    return ""


def _concerns(event: e.Event, stage: str, of: str) -> bool:
    """Whether the event belongs into the story of this stage; every event belongs into the run's."""
    match event:
        case e.MessageIgnored() if not of:  # recorded before stages were
            return re.search(rf"(?<![\w-]){re.escape(stage)}(?![\w-])", event.reason) is not None
        case e.RunHalted():
            return True
        case e.RollbackStarted() if event.because == stage:
            return True
        case _:
            return of in ("", stage)
