"""The rules that decide whether a change starts a run and which stages take part, each with its reason.

A reason is a sentence for people: which rule, what it saw, and, where it said no, what would turn it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from turnout.core.change import Change
from turnout.core.config_project import ProjectConfig
from turnout.core.config_stage import When
from turnout.core.config_triggers import Triggers
from turnout.core.globs import TooManySteps, first_match, match_any
from turnout.core.model import ChangeKind
from turnout.core.nothing import some
from turnout.core.ruling import MOST_SEEN, Rule, Ruling

_MARKER = re.compile(r"\[(?:skip ci|ci skip|no ci|turnout skip)\]", re.IGNORECASE)
_BY_HAND = "somebody asked for it: `/turnout run` in the pull request, or `turnout run --event manual`"
_ADDED = {ChangeKind.SCHEDULE: 'schedule: "0 3 * * *"'}
_NOUNS = {Rule.ON_TAG: "tag", Rule.ON_DISPATCH: "type"}
_A = {
    ChangeKind.PUSH: "a push",
    ChangeKind.PULL_REQUEST: "a pull request",
    ChangeKind.TAG: "a tag",
    ChangeKind.MANUAL: "a manual run",
    ChangeKind.SCHEDULE: "a scheduled run",
    ChangeKind.DISPATCH: "a dispatch",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says, and why. ``rule``, ``values``, ``flips``: as of `turnout.core.nothing.Nothing`, where it says
    no to a run. ``rulings``: of all rules that were asked, also behind the one that said no.
    """

    holds: bool
    reason: str
    rule: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    flips: tuple[str, ...] = ()
    rulings: tuple[Ruling, ...] = ()


def skip_marker(message: str) -> str:
    """The marker in a commit message that asks for no run, as it is written there; empty: none."""
    found = _MARKER.search(message)
    return found[0] if found else ""


def triggered(on: Triggers, change: Change) -> Verdict:
    """Whether ``change`` starts a run."""
    kind = change.kind
    if kind in (ChangeKind.PUSH, ChangeKind.PULL_REQUEST):
        marker = skip_marker(change.message)
        if marker:
            return Verdict(
                False,
                f"the commit message says {marker}; leave that out to run",
                Rule.SKIP_CI,
                {"commit message": change.message.split("\n", 1)[0][:200], "marker": marker},
                (f"{marker} were not in the commit message", _BY_HAND),
            )
    if kind.value not in on.events:
        added = _ADDED.get(kind, f"{kind.value}: {{}}")
        saw = f"`on` lists {', '.join(on.events)}; this is {_A[kind]}"
        return Verdict(
            False,
            f"{saw}: add `{added}` to run for it",
            Rule.ON,
            {"on": list(on.events), "event": kind.value},
            (f"`on` had `{added}`",),
        )
    match kind:
        case ChangeKind.PUSH:
            assert on.push is not None
            return _both(
                _listed(Rule.ON_PUSH_BRANCHES, on.push.branches, change.branch, "this push is on"),
                _touched(Rule.ON_PUSH_PATHS, on.push.paths, change.paths),
            )
        case ChangeKind.PULL_REQUEST:
            assert on.pull_request is not None
            rule, saw = Rule.ON_PULL_REQUEST_BRANCHES, "this pull request is for"
            return _both(
                _listed(rule, on.pull_request.branches, change.base_branch, saw),
                _touched(Rule.ON_PULL_REQUEST_PATHS, on.pull_request.paths, change.paths),
            )
        case ChangeKind.TAG:
            assert on.tag is not None
            return _listed(Rule.ON_TAG, on.tag.tags, change.tag, "this tag is")
        case ChangeKind.DISPATCH:
            assert on.dispatch is not None
            saw = "this dispatch is of type"
            return _listed(Rule.ON_DISPATCH, on.dispatch.types, change.action, saw)
        case ChangeKind.SCHEDULE | ChangeKind.MANUAL:
            return Verdict(True, f"`on` lists {kind.value}", rulings=(_named(Rule.ON, on.events, kind),))
        case _:
            assert_never(kind)


def _listed(rule: Rule, patterns: Sequence[str], name: str, saw: str) -> Verdict:
    """`_pattern` for a run."""
    found = _pattern(rule, patterns, name, saw)
    if found.holds:
        return found
    noun = _NOUNS.get(rule, "branch")
    flips = (f"`{rule}` had a pattern for {name or 'it'}", f"the {noun} were one of those: {_some(patterns)}")
    return replace(found, rule=rule, values={rule: some(patterns), noun: name}, flips=flips)


def _touched(rule: Rule, patterns: Sequence[str], paths: Sequence[str] | None) -> Verdict:
    """`_paths` for a run."""
    found = _paths(rule, patterns, paths)
    if found.holds:
        return found
    flips = (
        f"a file were changed that matches {_some(patterns)}",
        f"`{rule}` had a pattern for one of the files that changed" if paths else f"there were no `{rule}`",
    )
    values = {rule: some(patterns), "files changed": some(paths)}
    return replace(found, rule=rule, values=values, flips=flips)


def takes_part(when: When | None, change: Change, environment: str) -> Verdict:
    """Whether a stage with these rules runs for ``change``. ``environment``: the stage's, or the pipeline's."""
    if when is None:
        return Verdict(True, "it has no `when`")
    verdicts = tuple(_when(when, change, environment))
    return every(verdicts) if verdicts else Verdict(True, "its `when` has no rule")


def every(verdicts: Sequence[Verdict]) -> Verdict:
    """All of them, or the first that says no."""
    rulings = tuple(ruling for each in verdicts for ruling in each.rulings)
    refused = next((each for each in verdicts if not each.holds), None)
    if refused is not None:
        return replace(refused, rulings=rulings)
    return Verdict(True, "; ".join(each.reason for each in verdicts), rulings=rulings)


def _when(when: When, change: Change, environment: str) -> Iterator[Verdict]:
    if when.event:
        listed = ", ".join(when.event)
        ruling = _named(Rule.WHEN_EVENT, when.event, change.kind)
        if ruling.holds:
            yield Verdict(True, f"`when.event` lists {change.kind.value}", rulings=(ruling,))
        else:
            saw = f"`when.event` lists {listed}; this is {_A[change.kind]}"
            yield Verdict(False, f"{saw}: add `{change.kind.value}` to run for it", rulings=(ruling,))
    if when.branch:
        if change.fork:
            reason = f"`when.branch` lists {_some(when.branch)}; the branch of a fork never counts"
            yield Verdict(
                False, reason, rulings=(Ruling(rule=Rule.WHEN_BRANCH, holds=False, listed=when.branch),)
            )
        else:
            yield _pattern(Rule.WHEN_BRANCH, when.branch, change.branch, "this change is on")
    if when.tag:
        yield _pattern(Rule.WHEN_TAG, when.tag, change.tag, "this tag is")
    if when.paths:
        yield _paths(Rule.WHEN_PATHS, when.paths, change.paths)
    if when.environment:
        listed = ", ".join(when.environment)
        ruling = _named(Rule.WHEN_ENVIRONMENT, when.environment, environment)
        if ruling.holds:
            reason = f"`when.environment` lists {environment}"
        elif environment:
            reason = f"`when.environment` lists {listed}; the environment here is {environment}"
        else:
            reason = f"`when.environment` lists {listed}; the stage has no environment: set `environment` or"
            reason += " the pipeline's `deploy_environment`"
        yield Verdict(ruling.holds, reason, rulings=(ruling,))


def reaches(project: ProjectConfig, environment: str, change: Change) -> Verdict:
    """Whether the operator lets ``change`` reach ``environment`` (empty: none)."""
    if not environment:
        return Verdict(True, "it has no environment")
    if change.fork:
        ruling = Ruling(rule=Rule.FORKS, holds=False, where=environment)
        return Verdict(
            False, f"a pull request from a fork never reaches environment {environment}", rulings=(ruling,)
        )
    rules = project.environments.get(environment)
    if rules is not None and (rules.branches or rules.tags):
        return _listed_here(rules.branches, rules.tags, change, environment)
    protected = project.branches.protected
    if not protected or (change.tag and not change.branch):
        return Verdict(True, f"environment {environment} takes every change of this kind")
    holds = match_any(protected, change.branch)
    rulings = (_compared(Rule.PROTECTED, protected, change.branch, holds).with_(where=environment),)
    if holds:
        return Verdict(True, f"environment {environment} takes every change of this kind", rulings=rulings)
    shown = f"the project's protected branches are {_some(protected)}"
    reason = f"environment {environment} takes protected branches; {shown}; {_here(change)}"
    return Verdict(False, reason, rulings=rulings)


def _listed_here(branches: Sequence[str], tags: Sequence[str], change: Change, environment: str) -> Verdict:
    by_branch = bool(change.branch and branches and match_any(branches, change.branch))
    by_tag = bool(change.tag and tags and match_any(tags, change.tag))
    seen = tuple(filter(None, (change.branch, change.tag)))
    ruling = Ruling(
        rule=Rule.ENVIRONMENT,
        holds=by_branch or by_tag,
        listed=tuple(branches),
        tags=tuple(tags),
        saw=seen,
        of=len(seen),
        where=environment,
    )
    if by_branch:
        return Verdict(True, f"environment {environment} takes branch {change.branch}", rulings=(ruling,))
    if by_tag:
        return Verdict(True, f"environment {environment} takes tag {change.tag}", rulings=(ruling,))
    parts = [f"branches {_some(branches)}"] if branches else []
    parts += [f"tags {_some(tags)}"] if tags else []
    reason = f"environment {environment} takes {' and '.join(parts)}; {_here(change)}"
    return Verdict(False, reason, rulings=(ruling,))


def _here(change: Change) -> str:
    if change.branch:
        return f"this change is on {change.branch}"
    return f"this change is tag {change.tag}" if change.tag else "this change is on no branch"


def _named(rule: Rule, listed: Sequence[str], name: str) -> Ruling:
    """Names that are compared as they are."""
    return _compared(rule, tuple(map(str, listed)), str(name), name in listed)


def _compared(rule: Rule, listed: Sequence[str], name: str, holds: bool) -> Ruling:
    saw = (name,) if name else ()
    return Ruling(rule=rule, holds=holds, listed=tuple(listed), saw=saw, of=len(saw))


def _pattern(rule: Rule, patterns: Sequence[str], name: str, saw: str) -> Verdict:
    if not patterns:
        return Verdict(True, f"`{rule}` is not given: all count")
    ruling = _compared(rule, patterns, name, bool(name) and match_any(patterns, name))
    if ruling.holds:
        reason = f"`{rule}` lists {_some(patterns)}; {saw} {name}"
    elif not name:
        noun = "tag" if "tag" in rule else "branch"
        reason = f"`{rule}` lists {_some(patterns)}; this change has no {noun}"
    else:
        reason = f"`{rule}` lists {_some(patterns)}; {saw} {name}: add a pattern for it to run"
    return Verdict(ruling.holds, reason, rulings=(ruling,))


def _paths(rule: Rule, patterns: Sequence[str], paths: Sequence[str] | None) -> Verdict:
    if not patterns:
        return Verdict(True, f"`{rule}` is not given: every change counts")
    listed = f"`{rule}` lists {_some(patterns)}"
    if paths is None:
        reason = f"{listed}; which files changed is not known, so it holds"
        return Verdict(True, reason, rulings=(Ruling(rule=rule, holds=True, listed=tuple(patterns)),))
    try:
        found = first_match(patterns, paths)
    except TooManySteps:
        much = f"{len(paths)} changed files with {len(patterns)} patterns"
        reason = f"{listed}; comparing {much} takes too long, so it holds"
        return Verdict(True, reason, rulings=(Ruling(rule=rule, holds=True, listed=tuple(patterns)),))
    saw = (found,) if found is not None else tuple(paths[:MOST_SEEN])
    ruling = Ruling(rule=rule, holds=found is not None, listed=tuple(patterns), saw=saw, of=len(paths))
    if found is not None:
        reason = f"{listed}; {found} has changed"
    elif not paths:
        reason = f"{listed}; no file has changed"
    elif len(paths) == 1:
        reason = f"{listed}; the one file changed is {_some(paths)}"
    else:
        reason = f"{listed}; none of the {len(paths)} files changed matches: {_some(paths)}"
    return Verdict(ruling.holds, reason, rulings=(ruling,))


def _both(first: Verdict, second: Verdict) -> Verdict:
    return every((first, second))


def _some(names: Sequence[str]) -> str:
    """At most a handful of names."""
    more = len(names) - MOST_SEEN
    return ", ".join(names[:MOST_SEEN]) + (f" and {more} more" if more > 0 else "")
