"""The rules that decide whether a change starts a run and which stages take part, each with its reason.

A reason is a sentence for people: which rule, what it saw, and, where it said no, what would turn it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from turnout.core.change import Change
from turnout.core.config_project import ProjectConfig
from turnout.core.config_stage import When
from turnout.core.config_triggers import Triggers
from turnout.core.globs import TooManySteps, first_match, match_any
from turnout.core.model import ChangeKind

_MARKER = re.compile(r"\[(?:skip ci|ci skip|no ci|turnout skip)\]", re.IGNORECASE)
_SHOWN = 5
_A = {
    ChangeKind.PUSH: "a push",
    ChangeKind.PULL_REQUEST: "a pull request",
    ChangeKind.TAG: "a tag",
    ChangeKind.MANUAL: "a manual run",
    ChangeKind.SCHEDULE: "a scheduled run",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says, and why."""

    holds: bool
    reason: str


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
            return Verdict(False, f"the commit message says {marker}; leave that out to run")
    if kind.value not in on.events:
        added = 'schedule: "0 3 * * *"' if kind is ChangeKind.SCHEDULE else f"{kind.value}: {{}}"
        saw = f"`on` lists {', '.join(on.events)}; this is {_A[kind]}"
        return Verdict(False, f"{saw}: add `{added}` to run for it")
    match kind:
        case ChangeKind.PUSH:
            assert on.push is not None
            return _both(
                _pattern("on.push.branches", on.push.branches, change.branch, "this push is on"),
                _paths("on.push.paths", on.push.paths, change.paths),
            )
        case ChangeKind.PULL_REQUEST:
            assert on.pull_request is not None
            return _both(
                _pattern(
                    "on.pull_request.branches",
                    on.pull_request.branches,
                    change.base_branch,
                    "this pull request is for",
                ),
                _paths("on.pull_request.paths", on.pull_request.paths, change.paths),
            )
        case ChangeKind.TAG:
            assert on.tag is not None
            return _pattern("on.tag.tags", on.tag.tags, change.tag, "this tag is")
        case ChangeKind.SCHEDULE | ChangeKind.MANUAL:
            return Verdict(True, f"`on` lists {kind.value}")
        case _:
            assert_never(kind)


def takes_part(when: When | None, change: Change, environment: str) -> Verdict:
    """Whether a stage with these rules runs for ``change``. ``environment``: the stage's, or the pipeline's."""
    if when is None:
        return Verdict(True, "it has no `when`")
    verdicts = tuple(_when(when, change, environment))
    refused = next((each for each in verdicts if not each.holds), None)
    reasons = "; ".join(each.reason for each in verdicts)
    return refused or Verdict(True, reasons or "its `when` has no rule")


def _when(when: When, change: Change, environment: str) -> Iterator[Verdict]:
    if when.event:
        listed = ", ".join(when.event)
        if change.kind in when.event:
            yield Verdict(True, f"`when.event` lists {change.kind.value}")
        else:
            saw = f"`when.event` lists {listed}; this is {_A[change.kind]}"
            yield Verdict(False, f"{saw}: add `{change.kind.value}` to run for it")
    if when.branch:
        if change.fork:
            reason = f"`when.branch` lists {_some(when.branch)}; the branch of a fork never counts"
            yield Verdict(False, reason)
        else:
            yield _pattern("when.branch", when.branch, change.branch, "this change is on")
    if when.tag:
        yield _pattern("when.tag", when.tag, change.tag, "this tag is")
    if when.paths:
        yield _paths("when.paths", when.paths, change.paths)
    if when.environment:
        listed = ", ".join(when.environment)
        if environment in when.environment:
            yield Verdict(True, f"`when.environment` lists {environment}")
        elif environment:
            yield Verdict(False, f"`when.environment` lists {listed}; the environment here is {environment}")
        else:
            reason = f"`when.environment` lists {listed}; the stage has no environment: set `environment` or"
            yield Verdict(False, f"{reason} the pipeline's `deploy_environment`")


def reaches(project: ProjectConfig, environment: str, change: Change) -> Verdict:
    """Whether the operator lets ``change`` reach ``environment`` (empty: none)."""
    if not environment:
        return Verdict(True, "it has no environment")
    if change.fork:
        return Verdict(False, f"a pull request from a fork never reaches environment {environment}")
    rules = project.environments.get(environment)
    if rules is not None and (rules.branches or rules.tags):
        return _listed_here(rules.branches, rules.tags, change, environment)
    protected = project.branches.protected
    if not protected or (change.tag and not change.branch) or match_any(protected, change.branch):
        return Verdict(True, f"environment {environment} takes every change of this kind")
    shown = f"the project's protected branches are {_some(protected)}"
    return Verdict(False, f"environment {environment} takes protected branches; {shown}; {_here(change)}")


def _listed_here(branches: Sequence[str], tags: Sequence[str], change: Change, environment: str) -> Verdict:
    if change.branch and branches and match_any(branches, change.branch):
        return Verdict(True, f"environment {environment} takes branch {change.branch}")
    if change.tag and tags and match_any(tags, change.tag):
        return Verdict(True, f"environment {environment} takes tag {change.tag}")
    parts = [f"branches {_some(branches)}"] if branches else []
    parts += [f"tags {_some(tags)}"] if tags else []
    return Verdict(False, f"environment {environment} takes {' and '.join(parts)}; {_here(change)}")


def _here(change: Change) -> str:
    if change.branch:
        return f"this change is on {change.branch}"
    return f"this change is tag {change.tag}" if change.tag else "this change is on no branch"


def _pattern(rule: str, patterns: Sequence[str], name: str, saw: str) -> Verdict:
    if not patterns:
        return Verdict(True, f"`{rule}` is not given: all count")
    if name and match_any(patterns, name):
        return Verdict(True, f"`{rule}` lists {_some(patterns)}; {saw} {name}")
    if not name:
        noun = "tag" if "tag" in rule else "branch"
        return Verdict(False, f"`{rule}` lists {_some(patterns)}; this change has no {noun}")
    return Verdict(False, f"`{rule}` lists {_some(patterns)}; {saw} {name}: add a pattern for it to run")


def _paths(rule: str, patterns: Sequence[str], paths: Sequence[str] | None) -> Verdict:
    if not patterns:
        return Verdict(True, f"`{rule}` is not given: every change counts")
    if paths is None:
        return Verdict(
            True, f"`{rule}` lists {_some(patterns)}; which files changed is not known, so it holds"
        )
    try:
        found = first_match(patterns, paths)
    except TooManySteps:
        much = f"{len(paths)} changed files with {len(patterns)} patterns"
        return Verdict(
            True, f"`{rule}` lists {_some(patterns)}; comparing {much} takes too long, so it holds"
        )
    if found is not None:
        return Verdict(True, f"`{rule}` lists {_some(patterns)}; {found} has changed")
    if not paths:
        return Verdict(False, f"`{rule}` lists {_some(patterns)}; no file has changed")
    count = (
        "the one file changed is" if len(paths) == 1 else f"none of the {len(paths)} files changed matches:"
    )
    return Verdict(False, f"`{rule}` lists {_some(patterns)}; {count} {_some(paths)}")


def _both(first: Verdict, second: Verdict) -> Verdict:
    if not first.holds or not second.holds:
        return first if not first.holds else second
    return Verdict(True, f"{first.reason}; {second.reason}")


def _some(names: Sequence[str]) -> str:
    """At most a handful of names."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
