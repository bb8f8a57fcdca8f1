"""What differs between two plans for one change, or between a plan and no run; what weakens security first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from turnout.core.model import Value
from turnout.core.plan import NotTriggered, Plan, PlannedStage
from turnout.core.stage_difference import Field, fields_of, security_of

LONGEST, MOST = 80, 200
"""Characters of a value that are shown, and of a reason."""


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

    @property
    def sentence(self) -> str:
        """With code in backticks; safe as Markdown whatever the values are."""
        if not self.field:
            what = code(self.stage) if self.stage else "it"
            if self.what == "added":
                return f"{what} would run" + (f"; so far not: {code(self.old, MOST)}" if self.old else "")
            return f"{what} would not run any more" + (f": {code(self.new, MOST)}" if self.new else "")
        where = f"{code(self.stage)} " if self.stage else ""
        field = (
            code(self.field) if "." in self.field else self.field
        )  # after the dot the file's author has the word
        if not self.old or not self.new:
            verb, value = ("gets", self.new) if self.new else ("loses", self.old)
            return f"{where}{verb} {field} {code(value)}"
        return f"{where}{field} {code(self.old)} → {code(self.new)}"


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
        return "\n".join(f"{'!' if each.weakens else ' '} {each.sentence}" for each in self.differences)

    def markdown(self, most: int = 20) -> str:
        """A list for a check, at most ``most`` items; empty where nothing differs."""
        lines = [
            f"- {'⚠️ weakens security: ' if each.weakens else ''}{each.sentence}"
            for each in self.differences[:most]
        ]
        left = len(self.differences) - most
        return "\n".join([*lines, f"- … and {left} more"] if left > 0 else lines)


def compare(old: Plan | NotTriggered, new: Plan | NotTriggered) -> PlanDifference:
    """What changes for one change when ``new`` takes the place of ``old``.

    Stages that neither would run are not compared: nothing of them would be done. Of a run that comes anew, what
    security asks after is named; its stages are in the plan.
    """
    found = tuple(_differences(old, new))
    return PlanDifference(differences=tuple(sorted(found, key=lambda each: not each.weakens)))


def _differences(old: Plan | NotTriggered, new: Plan | NotTriggered) -> Iterator[Difference]:
    match old, new:
        case Plan(), NotTriggered():
            yield Difference(what="removed", new=new.reason)
            return
        case NotTriggered(), Plan():
            yield Difference(what="added", old=old.reason)
            for stage in new.stages:
                yield from (_changed(stage.name, each) for each in security_of(stage) if not stage.skip)
            return
        case Plan(), Plan():
            yield from _of_plans(old, new)
        case _:
            return
    before, after = _stages(old), _stages(new)
    for name in [*after, *(name for name in before if name not in after)]:
        yield from _of_stage(name, before.get(name), after.get(name))
        if name in after and name in before:
            scans = {each.name for each in after.values() if not each.skip}
            lost = ", ".join(sorted(_scanners(name, before) & scans - _scanners(name, after)))
            if lost and not after[name].skip:
                yield _changed(name, Field("scan before it", lost, "", weakens=True))


def _of_plans(old: Plan, new: Plan) -> Iterator[Difference]:
    pairs = (
        ("fail_fast", _yes(old.fail_fast), _yes(new.fail_fast)),
        ("concurrency", _group(old), _group(new)),
        ("notify", _notify(old), _notify(new)),
        ("parallel", str(old.parallel or ""), str(new.parallel or "")),
        ("infrastructure retries", str(old.infrastructure_retries), str(new.infrastructure_retries)),
    )
    for field, before, after in pairs:
        if before != after:
            yield _changed("", Field(field, before, after))


def _of_stage(name: str, old: PlannedStage | None, new: PlannedStage | None) -> Iterator[Difference]:
    was, runs = old is not None and not old.skip, new is not None and not new.skip
    match was, runs:
        case True, True:
            assert old is not None
            assert new is not None
            yield from (_changed(name, field) for field in fields_of(old, new))
        case True, False:
            assert old is not None
            reason = new.skip if new is not None else ""
            yield Difference(what="removed", stage=name, new=reason, weakens=old.agent == "security")
        case False, True:
            assert new is not None
            yield Difference(what="added", stage=name, old=old.skip if old is not None else "")
            yield from (_changed(name, field) for field in security_of(new))
        case _:
            return


def _scanners(name: str, stages: Mapping[str, PlannedStage]) -> set[str]:
    """The security stages that a deploy comes after, directly or through others; of other stages none."""
    if stages[name].agent != "deploy":
        return set()
    found: set[str] = set()
    left = list(stages[name].needs)
    while left:
        need = left.pop()
        if need not in found and need in stages:
            found.add(need)
            left.extend(stages[need].needs)
    return {each for each in found if stages[each].agent == "security" and not stages[each].skip}


def _changed(stage: str, field: Field) -> Difference:
    what: Literal["added", "removed", "changed"] = "changed"
    if not field.old:
        what = "added"
    elif not field.new:
        what = "removed"
    return Difference(
        what=what, stage=stage, field=field.name, old=field.old, new=field.new, weakens=field.weakens
    )


def _stages(of: Plan | NotTriggered) -> dict[str, PlannedStage]:
    return {each.name: each for each in of.stages} if isinstance(of, Plan) else {}


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _group(plan: Plan) -> str:
    if plan.concurrency is None:
        return ""
    newer = "a newer run cancels" if plan.concurrency.cancel_superseded else "runs wait"
    return f"{plan.concurrency.group}, {newer}"


def _notify(plan: Plan) -> str:
    notify = plan.notify
    to: Sequence[str] = [*filter(None, [notify.slack]), *notify.email]
    return f"{', '.join(to) or 'nobody'} on {', '.join(notify.on)}"


def code(text: str, most: int = LONGEST) -> str:
    """On one line, and nothing in it is Markdown."""
    flat = " ".join(text.replace("`", "'").split())
    return f"`{flat if len(flat) <= most else flat[: most - 1] + '…'}`"
