from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from tests.core.building import a_plan, stage
from tests.core.test_planner_properties import CHANGES, PROJECTS, pipeline_texts
from tests.core.writing import pipeline
from turnout.core.change import Change
from turnout.core.config import ProjectConfig
from turnout.core.difference import PlanDifference, compare
from turnout.core.model import Outcome, Runtime
from turnout.core.plan import Approval, Concurrency, NotTriggered, Plan, Resources, Retries
from turnout.core.planner import plan

NOTHING = NotTriggered(reason="`on` lists tag; this is a push")


def said(old: Plan | NotTriggered, new: Plan | NotTriggered) -> list[str]:
    return compare(old, new).text().splitlines()


@settings(max_examples=15, deadline=None)
@given(text=pipeline_texts(), other=pipeline_texts(), change=CHANGES, by=PROJECTS)
def test_the_same_plan_does_not_differ_and_another_digest_does(
    text: str, other: str, change: Change, by: ProjectConfig
) -> None:
    one, two = plan(pipeline(text), by, change), plan(pipeline(other), by, change)
    assert not compare(one, one)
    assert compare(one, one).text() == compare(one, one).markdown() == ""
    there, back = compare(one, two), compare(two, one)
    assert bool(there) == bool(back)
    if isinstance(one, Plan) and isinstance(two, Plan) and there:
        assert one.digest != two.digest
    weak = [each.weakens for each in there.differences]
    assert weak == sorted(weak, reverse=True), "what weakens security comes first"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({}, {"agent": "lint"}, "  `a` agent `script` → `lint`"),
        ({}, {"timeout": 60.0}, "  `a` timeout `1h` → `1m`"),
        ({}, {"retries": 2}, "  `a` gets retries `2`"),
        ({"retry": Retries(max=1, on=(Outcome.ERROR,))}, {}, "  `a` loses retries `1 on error`"),
        ({}, {"retry": Retries(max=3, backoff=10)}, "  `a` gets retries `3, after 10s × 2`"),
        ({}, {"cells": "12"}, "  `a` gets matrix `[1], [2]`"),
        ({}, {"env": {"CI": "`@x`"}}, "  `a` gets `env.CI` `'@x'`"),
        ({"env": {"CI": "1"}}, {"env": {"CI": ""}}, "  `a` `env.CI` `1` → `empty`"),
        ({}, {"env": {"CI": ""}}, "  `a` gets `env.CI` `empty`"),
        ({"options": {"a": {"b": 1}}}, {"options": {"a": {"b": 2}}}, "  `a` `with.a.b` `1` → `2`"),
        ({"options": {"args": ["-q"]}}, {"options": {}}, "  `a` loses `with.args` `-q`"),
        ({}, {"resources": Resources(cpu=2, memory=1 << 30)}, "  `a` gets cpu `2`\n  `a` gets memory `1Gi`"),
        ({}, {"fail_fast": False}, "  `a` fail_fast `true` → `false`"),
        ({}, {"allow_failure": True}, "  `a` allow_failure `false` → `true`"),
        ({"network": True}, {}, "  `a` loses network `open`"),
        ({"secrets": ("A",)}, {}, "  `a` loses secret `A`"),
        ({"environment": "live"}, {}, "  `a` loses environment `live`"),
        ({}, {"approval": Approval()}, "  `a` gets approval `1 by anyone who may within 1d`"),
        ({}, {"skip": "not here"}, "  `a` would not run any more: `not here`"),
        ({"skip": "not here"}, {}, "  `a` would run; so far not: `not here`"),
        # what weakens security
        ({}, {"secrets": ("A",)}, "! `a` gets secret `A`"),
        ({}, {"environment": "live"}, "! `a` gets environment `live`"),
        ({}, {"network": True}, "! `a` gets network `open`"),
        ({"runtime": Runtime.KUBERNETES}, {}, "! `a` runtime `kubernetes` → `process`"),
        ({"attested": ("security",)}, {}, "! `a` loses attested `security`"),
        ({"approval": Approval()}, {}, "! `a` loses approval `1 by anyone who may within 1d`"),
        (
            {"approval": Approval(required=2)},
            {"approval": Approval()},
            "! `a` approval `2 by anyone who may within 1d` → `1 by anyone who may within 1d`",
        ),
        (
            {"approval": Approval(by=("@ada",))},
            {"approval": Approval(by=("@ada", "@eve"))},
            "! `a` approval `1 by @ada within 1d` → `1 by @ada or @eve within 1d`",
        ),
        (
            {"agent": "security", "options": {"fail_on": "high"}},
            {"agent": "security", "options": {"fail_on": "never"}},
            "! `a` `with.fail_on` `high` → `never`",
        ),
        (
            {"agent": "security", "options": {"fail_on": "low"}},
            {"agent": "security"},
            "! `a` loses `with.fail_on` `low`",
        ),
        (
            {"agent": "security"},
            {"agent": "security", "options": {"fail_on": "low"}},
            "  `a` gets `with.fail_on` `low`",
        ),
        ({"agent": "security"}, {"agent": "lint"}, "! `a` agent `security` → `lint`"),
        ({"agent": "security"}, {"agent": "security", "allow_failure": True}, "! `a` allow_failure `false` → `true`"),
        ({"agent": "security"}, {"agent": "security", "skip": "no"}, "! `a` would not run any more: `no`"),
        ({"skip": "x", "timeout": 5.0}, {"skip": "y", "secrets": ("A",)}, ""),
    ],
)  # fmt: skip
def test_each_field_of_a_stage_is_told(old: dict[str, Any], new: dict[str, Any], told: str) -> None:
    assert compare(a_plan(stage("a", **old)), a_plan(stage("a", **new))).text() == told


def test_stages_that_come_and_go_are_told_with_what_they_bring_along() -> None:
    ship = stage("ship", "a", agent="deploy", environment="live", secrets=("KEY",))
    old, new = a_plan(stage("a"), stage("docs")), a_plan(stage("a"), ship)
    assert said(old, new) == [
        "! `ship` gets secret `KEY`",
        "! `ship` gets environment `live`",
        "  `ship` would run",
        "  `docs` would not run any more",
    ]
    assert [each.field for each in compare(old, new).weaker] == ["secret", "environment"]


def test_a_deploy_that_comes_before_its_scan_is_called_out() -> None:
    scan, ship = stage("scan", agent="security"), stage("ship", "scan", agent="deploy")
    beside = ship.with_(needs=())
    assert said(a_plan(scan, ship), a_plan(scan, beside)) == [
        "! `ship` loses scan before it `scan`",
        "  `ship` loses needs `scan`",
    ]
    assert not compare(a_plan(scan, beside), a_plan(scan, ship)).weaker


def test_what_is_said_of_the_whole_plan() -> None:
    one, group = stage("a"), Concurrency(group="g")
    assert said(a_plan(one), a_plan(one, fail_fast=False)) == ["  fail_fast `true` → `false`"]
    assert said(a_plan(one), a_plan(one, concurrency=group)) == ["  gets concurrency `g, runs wait`"]


def test_a_run_and_no_run() -> None:
    made = a_plan(stage("a", secrets=("KEY",)), stage("b", skip="no", secrets=("OTHER",)))
    reason = "'on' lists tag; this is a push"
    assert said(made, NOTHING) == [f"  it would not run any more: `{reason}`"]
    assert said(NOTHING, made) == ["! `a` gets secret `KEY`", f"  it would run; so far not: `{reason}`"]
    assert not compare(NOTHING, NotTriggered(reason="another"))


def test_markdown_is_short_and_nothing_in_it_is_the_repository_s() -> None:
    noise = {f"K{n}": "](http://evil) @team <b> ``` \n# x" for n in range(30)}
    found = compare(a_plan(stage("a")), a_plan(stage("a", env=noise, secrets=("KEY",))))
    lines = found.markdown().splitlines()
    assert len(lines) == 21
    assert lines[0] == "- ⚠️ weakens security: `a` gets secret `KEY`"
    assert lines[-1] == "- … and 11 more"
    assert all(line.count("`") % 2 == 0 for line in lines)
    keys = {"](http://evil) @team `": {"\n# x": "y"}}
    other = compare(a_plan(stage("a")), a_plan(stage("a", options=keys))).markdown()
    assert other == "- `a` gets `with.](http://evil) @team '. # x` `y`"
    assert lines[1] == "- `a` gets `env.K0` `](http://evil) @team <b> ''' # x`"


def test_a_difference_is_json() -> None:
    found = compare(a_plan(stage("a")), NOTHING)
    assert PlanDifference.model_validate(found.to_json()) == found
