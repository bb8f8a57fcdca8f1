"""What a pull request would change of how its repository is built, as it is recorded with its run."""

from __future__ import annotations

from turnout.core.difference import PlanDifference
from turnout.core.model import Value


class Proposal(Value):
    """``here``: what differs for the pull request itself; ``merged``: for a push to its base branch, once it is there.

    ``triggers``: what differs of ``on``, a line each: sign, key, value as JSON. ``problem``: why the new file could not
    be compared, empty: it was. ``replayed``: the sum over the last recorded changes as Markdown, safe to be shown;
    ``looked``, ``differing``, ``weaker``: how many there were, would go otherwise, and with weaker security.
    """

    file: str
    here: PlanDifference = PlanDifference()
    merged: PlanDifference = PlanDifference()
    triggers: tuple[str, ...] = ()
    problem: str = ""
    replayed: str = ""
    looked: int = 0
    differing: int = 0
    weaker: int = 0

    @property
    def differs(self) -> bool:
        return bool(self.here or self.merged or self.triggers or self.problem or self.differing)
