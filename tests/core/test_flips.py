"""What is said to let a stage take part does, asked of the planner itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.core.building import Story
from tests.core.writing import ANYONE, fork, pipeline, planned, project, pull_request, push, stage_of, tag
from turnout.core.causes import causes
from turnout.core.change import Change
from turnout.core.config import PipelineConfig, ProjectConfig
from turnout.core.config_stage import StageConfig, When
from turnout.core.flips import let_in, refused_by
from turnout.core.globs import check_pattern
from turnout.core.plan import PlannedStage
from turnout.core.planned import participation
from turnout.core.planner import starts
from turnout.core.ruling import Rule

BRANCHES = ["main", "release/*", "feature/**", "!main", "hot?ix", "[ab]*", "v[!0]"]
PATHS = ["src/**", "**/*.py", "docs/*.md", "!docs/**", "Makefile"]
CHANGES = [
    push("main", paths=("src/a.py",)),
    push("feature/x", paths=("README", "docs/b.md")),
    push("dev"),
    push("!odd", paths=()),
    tag("v1.0"),
    tag("nightly"),
    pull_request("feature/y", paths=("x",)),
    fork("main", paths=("Makefile",)),
]
PROJECTS = [
    ANYONE,
    project("environments: {live: {branches: [main, 'release/*']}}"),
    project("environments: {live: {branches: main, tags: 'v*'}}"),
    project("environments: {live: {tags: ['v*', '!v0*']}}"),
    project("environments: {live: {}}, branches: {protected: [main, 'release/**']}"),
]


@st.composite
def whens(draw: st.DrawFn) -> dict[str, Any]:
    some: dict[str, Any] = {
        "branch": st.lists(st.sampled_from(BRANCHES), min_size=1, max_size=3, unique=True),
        "tag": st.lists(st.sampled_from(["v*", "!v1*", "x"]), min_size=1, max_size=2, unique=True),
        "paths": st.lists(st.sampled_from(PATHS), min_size=1, max_size=3, unique=True),
        "event": st.lists(st.sampled_from(["push", "tag", "pull_request"]), min_size=1, unique=True),
        "environment": st.lists(st.sampled_from(["live", "other"]), min_size=1, unique=True),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(some)), min_size=1, max_size=3))
    return {name: draw(some[name]) for name in sorted(chosen)}


@given(whens(), st.sampled_from(CHANGES), st.sampled_from(PROJECTS), st.sampled_from(["live", ""]))
@settings(max_examples=100, deadline=None)
def test_doing_as_a_flip_says_lets_the_stage_take_part(
    when: dict[str, Any], change: Change, by: ProjectConfig, environment: str
) -> None:
    config, stage = written(when, environment)
    verdict = participation(stage, config, by, change)
    assert verdict.holds == all(each.holds for each in verdict.rulings)
    assume(not verdict.holds)
    found = stage_of(config, "unit", change, by)
    assert found.rulings == verdict.rulings
    assert refused_by(found) == next(each.rule for each in verdict.rulings if not each.holds)
    for flip in let_in(found, change):
        said, end, _ = flip.partition(" it would take part")
        assert end, flip
        if " added to " in said or "no `" in said:
            applied = participation(*with_file(said, stage, config, by), change)
        else:
            applied = participation(stage, config, by, with_change(said, change))
        assert applied.holds, (flip, applied.reason)


def written(when: dict[str, Any], environment: str) -> tuple[PipelineConfig, StageConfig]:
    where = f", environment: {environment}" if environment else ""
    config = pipeline(f"pipeline: {{stages: [{{name: unit, agent: deploy, when: {when!r}{where}}}]}}")
    return config, config.groups[0][0]


def with_change(said: str, change: Change) -> Change:
    for part in re.split(r", (?=with |on |for )", said):
        told = re.fullmatch(r"(with a change to|on branch|for tag) `([^`]+)`", part)
        assert told, part
        match told[1]:
            case "with a change to":
                change = change.with_(paths=(*(change.paths or ()), told[2]))
            case "on branch":
                change = change.with_(branch=told[2], ref=f"refs/heads/{told[2]}")
            case _:
                change = change.with_(tag=told[2], ref=f"refs/tags/{told[2]}")
    return change


def with_file(
    said: str, stage: StageConfig, config: PipelineConfig, by: ProjectConfig
) -> tuple[StageConfig, PipelineConfig, ProjectConfig]:
    when = stage.when or When()
    for part in said.removeprefix("with ").split(" and "):
        if gone := re.fullmatch(r"no `when\.(\w+)`", part):
            when = when.model_copy(update={gone[1]: ()})
            continue
        told = re.fullmatch(r"`([^`]+)` added to `([^`]+)`( of the project file)?", part)
        assert told, part
        if not told[3]:
            key = told[2].removeprefix("when.")
            when = when.model_copy(update={key: (*getattr(when, key), told[1])})
        else:
            by = with_project(by, told[2], check_pattern(told[1]))
    return stage.model_copy(update={"when": when}), config, by


def with_project(by: ProjectConfig, key: str, name: str) -> ProjectConfig:
    if key == "branches.protected":
        branches = by.branches.model_copy(update={"protected": (*by.branches.protected, name)})
        return by.model_copy(update={"branches": branches})
    _, environment, which = key.split(".")
    rules = by.environments[environment]
    grown = rules.model_copy(update={which: (*getattr(rules, which), name)})
    return by.model_copy(update={"environments": {**by.environments, environment: grown}})


@pytest.mark.parametrize(
    ("when", "change", "flips"),
    [
        (
            "branch: [main, 'release/*']",
            push("dev"),
            ("on branch `main` it would take part", "with `dev` added to `when.branch` it would take part"),
        ),
        (
            "branch: main, paths: 'src/**'",
            push("dev", paths=("README",)),
            (
                "on branch `main`, with a change to `src/x` it would take part",
                "with `dev` added to `when.branch` and `README` added to `when.paths` it would take part",
            ),
        ),
        ("event: tag", push(), ("with `push` added to `when.event` it would take part",)),
        ("branch: main", fork(), ("with no `when.branch` it would take part",)),
        ("tag: 'v*'", tag("x"), (
            "for tag `vx` it would take part", "with `x` added to `when.tag` it would take part",
        )),
    ],
)  # fmt: skip
def test_the_nearest_comes_first(when: str, change: Change, flips: tuple[str, ...]) -> None:
    config = pipeline(f"pipeline: {{stages: [{{name: unit, agent: test, when: {{{when}}}}}]}}")
    assert let_in(stage_of(config, "unit", change), change) == flips


def test_an_environment_that_the_operator_guards_is_opened_in_the_project_file() -> None:
    by = project("environments: {live: {branches: main}}")
    config = pipeline("pipeline: {stages: [{name: ship, agent: deploy, environment: live}]}")
    assert let_in(stage_of(config, "ship", push("dev"), by), push("dev")) == (
        "on branch `main` it would take part",
        "with `dev` added to `environments.live.branches` of the project file it would take part",
    )
    assert let_in(stage_of(config, "ship", fork(), by), fork()) == ()


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ("`when.paths` lists src/**; no file has changed", Rule.WHEN_PATHS),
        ("environment live takes branches main; this change is on dev", Rule.ENVIRONMENT),
        ("environment live takes protected branches; the project's", Rule.PROTECTED),
        ("a pull request from a fork never reaches environment live", Rule.FORKS),
        ("somebody's own words", Rule.WHEN),
        ("`when.moon` is full", Rule.WHEN),
    ],
)
def test_of_an_old_plan_the_sentence_tells_the_rule(told: str, rule: Rule) -> None:
    config = pipeline("pipeline: {stages: [lint]}")
    old: PlannedStage = planned(config).stage("lint").with_(skip=told, rulings=())
    assert refused_by(old) is rule


def test_rulings_are_not_part_of_the_digest() -> None:
    one = pipeline("pipeline: {on: {push: {branches: [main]}}, stages: [lint]}")
    two = pipeline("pipeline: {on: {push: {branches: ['m*']}}, stages: [lint]}")
    assert planned(one).rulings != planned(two).rulings
    assert planned(one).digest == planned(two).digest


def test_a_push_that_asks_for_no_run_makes_none() -> None:
    config = pipeline("pipeline: {stages: [lint]}")
    story = Story.of(planned(config), change=push())
    (flip,) = causes(story.history)[0].flips
    assert flip == "with `[skip ci]` in the commit message it would not have been made"
    assert not starts(config, ANYONE, push(message="tea [skip ci]")).holds
