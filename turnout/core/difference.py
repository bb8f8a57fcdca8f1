"""What differs between two plans for one change, or between a plan and no run; what weakens security first."""

from __future__ import annotations

from typing import Literal

from turnout.core.model import Value
from turnout.core.plan import NotTriggered, Plan


class Difference(Value):
    """One thing that differs. ``stage``: empty: it is about the whole. ``field``: of the stage or the plan, empty: the
    stage or the run itself came or went. ``old``, ``new``: as people read them. ``weakens``: security gets weaker.
    """

    what: Literal["added", "removed", "changed"]
    stage: str = ""
    field: str = ""
    old: str = ""
    new: str = ""
    weakens: bool = False
    sentence: str


class PlanDifference(Value):
    """``differences``: those that weaken security first, then in the order of the new plan. False: nothing differs."""

    differences: tuple[Difference, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.differences)

    @property
    def weaker(self) -> tuple[Difference, ...]:
        return tuple(each for each in self.differences if each.weakens)

    def text(self) -> str:
        """A line each, for a terminal; empty where nothing differs."""
        return "\n".join(f"{'! ' if each.weakens else '  '}{each.sentence}" for each in self.differences)

    def markdown(self, most: int = 20) -> str:
        """A list for a check, at most ``most`` items; empty where nothing differs."""
        lines = [f"- {'⚠️ ' if each.weakens else ''}{each.sentence}" for each in self.differences[:most]]
        left = len(self.differences) - most
        return "\n".join([*lines, f"- … and {left} more"] if left > 0 else lines)


def compare(old: Plan | NotTriggered, new: Plan | NotTriggered) -> PlanDifference:
    """What changes for one change when ``new`` takes the place of ``old``."""
    if isinstance(old, Plan) and isinstance(new, NotTriggered):
        gone = Difference(what="removed", sentence=f"It would not run any more: {new.reason}.")
        return PlanDifference(differences=(gone,))
    if isinstance(old, NotTriggered) and isinstance(new, Plan):
        came = Difference(what="added", sentence=f"It would run now; so far: {old.reason}.")
        return PlanDifference(differences=(came,))
    return PlanDifference()
