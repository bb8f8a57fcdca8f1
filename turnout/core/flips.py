"""What would let a stage take part that the plan's rules leave out: another change, or another file. Pure.

What is said is true of all rules together, not only of the one that refused first. A change is only named after the
rules have been asked about it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from turnout.core.change import Change
from turnout.core.globs import match_any
from turnout.core.plan import PlannedStage
from turnout.core.ruling import Rule, Ruling

_BY_BRANCH = (Rule.WHEN_BRANCH, Rule.ENVIRONMENT, Rule.PROTECTED)
_BY_TAG = (Rule.WHEN_TAG, Rule.ENVIRONMENT)
_CLASS = re.compile(r"\[(!?)(.)[^]]*\]")
_TOLD = re.compile(r"`(when\.\w+)`|environment \S+ takes (protected branches)?|a pull request from a (fork)")


def refused_by(stage: PlannedStage) -> Rule:
    """The rule that leaves the stage out; of plans that have recorded no rulings, as far as their sentence tells."""
    for ruling in stage.rulings:
        if not ruling.holds:
            return ruling.rule
    told = _TOLD.match(stage.skip)
    if told is None:
        return Rule.WHEN
    if told[1]:
        return Rule(told[1]) if told[1] in set(Rule) else Rule.WHEN
    if told[3]:
        return Rule.FORKS
    return Rule.PROTECTED if told[2] else Rule.ENVIRONMENT


def let_in(stage: PlannedStage, change: Change) -> tuple[str, ...]:
    """What would let the stage take part, the nearest first; empty where nothing is known that would."""
    if not stage.rulings:
        rule = refused_by(stage)
        return (f"without `{rule}` that rule would not leave it out",) if rule.startswith("when") else ()
    refused = [each for each in stage.rulings if not each.holds]
    return tuple(filter(None, (_other_change(stage.rulings, refused, change), _other_file(refused, change))))


def _other_change(rulings: Sequence[Ruling], refused: Sequence[Ruling], change: Change) -> str:
    """The change would have to be on another branch or tag, or touch another file; empty: that alone never does it."""
    parts: list[str] = []
    for ruling in refused:
        match ruling.rule:
            case Rule.WHEN_PATHS:
                path = next(
                    (each for each in candidates(ruling.listed) if match_any(ruling.listed, each)), ""
                )
                part = f"with a change to `{path}`" if path else ""
            case Rule.WHEN_BRANCH | Rule.PROTECTED | Rule.ENVIRONMENT if change.branch and not change.fork:
                found = _name(rulings, _BY_BRANCH)
                part = f"on branch `{found}`" if found else ""
            case Rule.WHEN_TAG | Rule.ENVIRONMENT if change.tag:
                found = _name(rulings, _BY_TAG)
                part = f"for tag `{found}`" if found else ""
            case _:
                part = ""
        if not part:
            return ""
        if part not in parts:
            parts.append(part)
    return f"{', '.join(parts)} it would take part"


def _name(rulings: Sequence[Ruling], rules: Sequence[Rule]) -> str:
    """A branch, or a tag, that all of these rules take."""
    tags = rules is _BY_TAG
    asked = [
        each.tags if tags and each.rule is Rule.ENVIRONMENT else each.listed
        for each in rulings
        if each.rule in rules
    ]
    for listed in asked:
        for name in candidates(listed):
            if all(patterns and match_any(patterns, name) for patterns in asked):
                return name
    return ""


def candidates(patterns: Sequence[str]) -> Iterator[str]:
    """For each pattern names that it may match; literal ones are themselves. Without any but ``!``, plain names."""
    for pattern in patterns:
        if not pattern.startswith("!"):
            for filler in ("x", "main", "x1"):
                name = _CLASS.sub(lambda found: "_" if found[1] else found[2], pattern)
                name = name.replace("**", filler).replace("*", filler).replace("?", "x")
                yield name
    if all(pattern.startswith("!") for pattern in patterns):
        yield from ("main", "x", "x/x")


def _other_file(refused: Sequence[Ruling], change: Change) -> str:
    edits = [_edit(each, change) for each in refused]
    return f"with {' and '.join(edits)} it would take part" if all(edits) else ""


def _edit(ruling: Ruling, change: Change) -> str:
    """What would have to be written in a file for the rule to hold; empty: nothing that could be."""
    rule, listed = ruling.rule, ruling.listed
    match rule:
        case Rule.FORKS:
            return ""
        case Rule.PROTECTED | Rule.ENVIRONMENT:
            if not change.branch or not match_any((*listed, change.branch), change.branch):
                return ""
            key = rule.value if rule is Rule.PROTECTED else f"environments.{ruling.where}.branches"
            return f"`{change.branch}` added to `{key}` of the project file"
        case _:
            for name in ruling.saw:
                if rule in (Rule.WHEN_EVENT, Rule.WHEN_ENVIRONMENT) or match_any((*listed, name), name):
                    return f"`{name}` added to `{rule}`"
            return f"no `{rule}`"
