"""What recorded changes come to with another pipeline file: change by change, and in sum. Values; no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from turnout.core.change import Change
from turnout.core.difference import Difference, PlanDifference, code, compare
from turnout.core.model import ChangeKind, Value
from turnout.core.plan import NotTriggered, Plan


class Outlook(Value):
    """What a file makes of a change. ``reason``: why nothing runs. ``stages``: those that take part."""

    runs: bool
    reason: str = ""
    digest: str = ""
    stages: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()

    @classmethod
    def of(cls, made: Plan | NotTriggered) -> Outlook:
        if isinstance(made, NotTriggered):
            return cls(runs=False, reason=made.reason)
        taking = [each for each in made.stages if not each.skip]
        return cls(
            runs=True,
            digest=made.digest,
            stages=tuple(each.name for each in taking),
            secrets=tuple(sorted({secret for each in taking for secret in each.secrets})),
            environments=tuple(sorted({each.environment for each in taking if each.environment})),
            approvals=tuple(each.name for each in taking if each.approval is not None),
        )


class Simulated(Value):
    """One recorded change. ``run``: what it became, empty: nothing; ``delivery``: what brought it. ``known``: all that
    the rules ask for is recorded; where not, rules on the changed files hold.
    """

    at: datetime
    kind: ChangeKind
    ref: str
    sha: str
    title: str
    run: str = ""
    delivery: str = ""
    old: Outlook
    new: Outlook
    difference: PlanDifference
    known: bool = True

    @classmethod
    def of(
        cls, at: datetime, change: Change, old: Plan | NotTriggered, new: Plan | NotTriggered, **more: object
    ) -> Simulated:
        told = {"kind": change.kind, "ref": change.ref, "sha": change.sha, "title": change.title}
        found = {"old": Outlook.of(old), "new": Outlook.of(new), "difference": compare(old, new)}
        return cls.model_validate({"at": at, **told, **found, **more})


class Total(Value):
    """The same difference in ``changes`` of the changes."""

    difference: Difference
    changes: int


class Simulation(Value):
    """``changes``: newest first. ``left``: changes that were not looked at any more, since time was up. ``problem``:
    what is wrong with the old file, empty: nothing; it runs nothing then.
    """

    project: str
    changes: tuple[Simulated, ...]
    left: int = 0
    problem: str = ""

    @property
    def differing(self) -> tuple[Simulated, ...]:
        return tuple(each for each in self.changes if each.difference)

    @property
    def differs(self) -> bool:
        return bool(self.differing)

    @property
    def unknown(self) -> int:
        """Changes of which it is not known what files they changed, though rules ask for that."""
        return sum(not each.known for each in self.changes)

    @property
    def totals(self) -> tuple[Total, ...]:
        """What weakens security first, then what concerns most changes."""
        count: Counter[Difference] = Counter()
        for each in self.changes:
            count.update(set(map(_apart_from_why, each.difference.differences)))
        found = [Total(difference=difference, changes=number) for difference, number in count.items()]
        return tuple(
            sorted(
                found,
                key=lambda each: (not each.difference.weakens, -each.changes, each.difference.sentence),
            )
        )

    def summary(self) -> str:
        """One line."""
        looked = f"{_many(len(self.changes), 'recorded change')} of {self.project}"
        if not self.changes:
            return f"Nothing is recorded of {self.project} yet."
        if not self.differs:
            return f"Nothing would be different for {looked}."
        weaker = sum(bool(each.difference.weaker) for each in self.changes)
        tail = f", {weaker} with weaker security" if weaker else ""
        return f"{len(self.differing)} of {looked} would go otherwise{tail}."

    def notes(self) -> Iterator[str]:
        """What the figures leave out."""
        if self.problem:
            yield f"The old file is not valid, so that nothing runs with it: {code(self.problem, 200)}"
        if self.unknown:
            of = _many(self.unknown, "change")
            yield f"Of {of} it is not known which files changed; rules on files hold for those."
        if self.left:
            yield f"Time was up before {_many(self.left, 'older change')} had been looked at."

    def markdown(self, most: int = 12) -> str:
        """For a check: the sum, at most ``most`` differences."""
        lines = [self.summary(), ""]
        for each in self.totals[:most]:
            mark = "⚠️ weakens security: " if each.difference.weakens else ""
            lines.append(f"- {mark}{each.difference.sentence} ({_many(each.changes, 'change')})")
        more = len(self.totals) - most
        lines += [f"- … and {more} more"] if more > 0 else []
        return "\n".join([*lines, *(f"\n_{note}_" for note in self.notes())]).rstrip()


def _apart_from_why(each: Difference) -> Difference:
    """Why a stage took no part, or takes none any more, names the change: it is left out of the sum."""
    return each if each.field else each.with_(old="", new="")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
