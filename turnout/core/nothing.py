"""Why nothing ran: which rule decided it, what it saw, and what would turn it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import Field, ValidationError

from turnout.core.model import Value

MAX_LISTED = 20
"""Names that a value keeps of a longer list."""


class Decided(StrEnum):
    """What decides before there is a plan that a delivery makes no run; later it is a `turnout.core.ruling.Rule`."""

    EVENT = "event"
    """GitHub's event, or its action, is none that starts runs."""
    REF = "ref"
    """It was deleted, or is neither a branch nor a tag."""
    PROJECT = "project file"
    ASKED = "who asks, and for what"
    INSTALLATION = "installation"


class Nothing(Value):
    """``reason``: one sentence without its full stop. ``values``: what the rule saw, plain JSON; ``flips``: what would
    have to be otherwise, a sentence each, the nearest first. ``rule``: its name, empty: recorded before rules were.
    """

    reason: str
    rule: str = ""
    values: dict[str, Any] = Field(default_factory=dict)
    flips: tuple[str, ...] = ()

    @property
    def bare(self) -> Nothing:
        """Only what every kind of it has."""
        return Nothing(reason=self.reason, rule=self.rule, values=self.values, flips=self.flips)

    def sentences(self) -> tuple[str, ...]:
        """For people, besides the reason: the rule, what it saw, what would turn it."""
        said = [f"Rule: {self.rule}."] if self.rule else []
        said += [f"It saw {name}: {_shown(value)}." for name, value in self.values.items()]
        said += [f"It would run if: {each}." for each in self.flips]
        return tuple(said)


def no_project(repository: str) -> Nothing:
    return Nothing(
        reason=f"no project serves {repository} (add a project file for it)",
        rule=Decided.PROJECT,
        values={"repository": repository},
        flips=(f"the folder TURNOUT_PROJECTS had a file with `project: {{repository: {repository}}}`",),
    )


def no_commit(ref: str, said: str) -> Nothing:
    return Nothing(
        reason=f"{ref} points to no commit: {said}",
        rule=Decided.REF,
        values={"ref": ref},
        flips=(f"there were {ref}, or `client_payload.ref` named another one",),
    )


def no_rerun(run: str, said: str, flip: str) -> Nothing:
    return Nothing(
        reason=f"run {run} {said}",
        rule=Decided.ASKED,
        values={"asked for": "rerun", "run": run},
        flips=(flip,),
    )


def some(names: Iterable[str] | None) -> list[str] | None:
    """The first of them, and how many more there are; None: not known."""
    if names is None:
        return None
    listed = list(names)
    more = len(listed) - MAX_LISTED
    return listed[:MAX_LISTED] + ([f"… and {more} more"] if more > 0 else [])


def dump(why: Nothing | None) -> str:
    """JSON text for a column; empty: nothing is known."""
    return why.bare.model_dump_json() if why is not None else ""


def load(text: str) -> Nothing | None:
    """The inverse of `dump`; None also for what another version of us has written otherwise."""
    try:
        return Nothing.model_validate_json(text, extra="ignore") if text else None
    except ValidationError:
        return None


def _shown(value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, list):
        return ", ".join(str(each) for each in value) or "none"
    return str(value) if value != "" else "none"
