from __future__ import annotations

import pytest

from tests.core.writing import (
    ANYONE,
    fork,
    pipeline,
    planned,
    project,
    pull_request,
    push,
    refusal,
    request,
    stage_of,
    stages,
    tag,
)
from turnout.core.change import Change
from turnout.core.config import PipelineConfig
from turnout.core.config_stage import When
from turnout.core.model import ChangeKind
from turnout.core.rules import skip_marker, takes_part


def on(text: str) -> PipelineConfig:
    return pipeline(f"pipeline: {{on: {text}, stages: [lint]}}")


def skip(when: str, change: Change, more: str = "") -> str:
    """Why a stage with this `when` is skipped; empty: it runs."""
    config = pipeline(f"pipeline: {{{more} stages: [{{agent: lint, when: {when}}}]}}")
    return stage_of(config, "lint", change).skip


@pytest.mark.parametrize("marker", ["[skip ci]", "[ci skip]", "[no ci]", "[turnout skip]", "[Skip CI]"])
@pytest.mark.parametrize("change", [push(), pull_request()])
def test_a_commit_message_can_ask_for_no_run(marker: str, change: Change) -> None:
    reason = refusal(stages("[lint]"), change.with_(message=f"Fix a comma\n\n{marker}"))
    assert reason == f"the commit message says {marker}; leave that out to run"


@pytest.mark.parametrize("change", [tag(), request(ChangeKind.MANUAL)])
def test_what_is_asked_for_on_purpose_runs_whatever_the_message_says(change: Change) -> None:
    planned(stages("[lint]"), change.with_(message="[skip ci]"))


@pytest.mark.parametrize("message", ["skip ci", "[skip]", "[ skip ci ]", ""])
def test_only_the_markers_ask_for_no_run(message: str) -> None:
    assert skip_marker(message) == ""


@pytest.mark.parametrize(
    "change", [push("any/branch"), pull_request(), tag("any"), request(ChangeKind.MANUAL)]
)
def test_without_on_everything_but_a_schedule_starts_a_run(change: Change) -> None:
    planned(stages("[lint]"), change)


def test_a_schedule_starts_a_run_only_where_it_is_given() -> None:
    assert 'add `schedule: "0 3 * * *"`' in refusal(stages("[lint]"), request(ChangeKind.SCHEDULE))
    planned(on("{schedule: '0 3 * * *'}"), request(ChangeKind.SCHEDULE))


def test_an_event_that_on_does_not_name_starts_nothing() -> None:
    reason = refusal(on("[push, tag]"), pull_request())
    assert reason == "`on` lists push, tag; this is a pull request: add `pull_request: {}` to run for it"


def test_a_push_to_another_branch_starts_nothing() -> None:
    config = on("{push: {branches: [main, 'release/*']}}")
    planned(config, push("release/1"))
    reason = refusal(config, push("feature/x"))
    assert reason == (
        "`on.push.branches` lists main, release/*; this push is on feature/x: add a pattern for it to run"
    )


def test_a_pull_request_is_judged_by_the_branch_it_is_for() -> None:
    config = on("{pull_request: main}")
    planned(config, pull_request("feature", base="main"))
    assert "this pull request is for stable" in refusal(config, pull_request("main", base="stable"))


def test_a_tag_of_another_form_starts_nothing() -> None:
    config = on("{tag: 'v*'}")
    planned(config, tag("v1.0"))
    assert "this tag is nightly" in refusal(config, tag("nightly"))


def test_paths_that_a_push_does_not_touch_start_nothing() -> None:
    config = on("{push: {paths: ['src/**', '!**/*.md']}}")
    planned(config, push(paths=("docs/a", "src/deep/a.py")))
    planned(config, push(paths=None))
    assert "none of the 2 files changed matches: docs/a, src/a.md" in refusal(
        config, push(paths=("docs/a", "src/a.md"))
    )
    assert "no file has changed" in refusal(config, push(paths=()))


def test_both_rules_of_an_event_must_hold() -> None:
    config = on("{push: {branches: main, paths: 'src/**'}}")
    planned(config, push(paths=("src/a",)))
    assert "on.push.branches" in refusal(config, push("x", paths=("src/a",)))
    assert "the one file changed is a" in refusal(config, push(paths=("a",)))


@pytest.mark.parametrize(
    ("when", "change", "reason"),
    [
        ("{branch: main}", push(), ""),
        ("{branch: main}", push("x"), "`when.branch` lists main; this change is on x: add a pattern for it to run"),
        ("{branch: main}", tag(), "`when.branch` lists main; this change has no branch"),
        ("{branch: main}", pull_request("main"), ""),
        ("{branch: m*}", pull_request("x"), "`when.branch` lists m*; this change is on x: add a pattern for it to run"),
        ("{branch: ['!main']}", push("x"), ""),
        ("{branch: ['**']}", fork("main"), "`when.branch` lists **; the branch of a fork never counts"),
        ("{tag: 'v*'}", tag("v1"), ""),
        ("{tag: 'v*'}", tag("x"), "`when.tag` lists v*; this tag is x: add a pattern for it to run"),
        ("{tag: 'v*'}", push(), "`when.tag` lists v*; this change has no tag"),
        ("{event: [push, tag]}", tag(), ""),
        ("{event: [push]}", tag(), "`when.event` lists push; this is a tag: add `tag` to run for it"),
        ("{paths: 'src/**'}", push(paths=("src/a",)), ""),
        ("{paths: 'src/**'}", push(paths=None), ""),
        ("{paths: s/*}", push(paths=("a", "b")), "`when.paths` lists s/*; none of the 2 files changed matches: a, b"),
        ("{}", push(), ""),
        ("{branch: main, event: tag}", push(), "`when.event` lists tag; this is a push: add `push` to run for it"),
    ],
)  # fmt: skip
def test_a_stage_that_is_skipped_says_which_rule_saw_what(when: str, change: Change, reason: str) -> None:
    assert skip(when, change) == reason


def test_a_long_list_of_files_is_cut() -> None:
    reason = skip("{paths: 'src/**'}", push(paths=tuple(f"f{n}" for n in range(100))))
    assert reason.endswith("none of the 100 files changed matches: f0, f1, f2, f3, f4 and 95 more")


def test_the_environment_is_the_stages_own_or_the_pipelines() -> None:
    assert skip("{environment: staging}", push(), "deploy_environment: staging,") == ""
    assert "the environment here is production" in skip(
        "{environment: staging}", push(), "deploy_environment: production,"
    )
    assert "has no environment" in skip("{environment: staging}", push())


def test_files_that_are_not_known_are_a_note_of_the_stage() -> None:
    stage = stage_of(stages("[{agent: lint, when: {paths: 'src/**'}}]"), "lint", push(paths=None))
    assert stage.notes == ("which files changed is not known, so `when.paths` holds",)
    assert (
        stage_of(stages("[{agent: lint, when: {paths: 'src/**'}}]"), "lint", push(paths=("src/a",))).notes
        == ()
    )


@pytest.mark.parametrize(
    ("rules", "change", "reason"),
    [
        ("environments: {p: }", push("x"), ""),
        ("environments: {p: {branches: main}}", push(), ""),
        (
            "environments: {p: {branches: main}}",
            push("x"),
            "environment p takes branches main; this change is on x",
        ),
        (
            "environments: {p: {branches: main}}",
            tag(),
            "environment p takes branches main; this change is tag v1.0",
        ),
        ("environments: {p: {branches: main, tags: 'v*'}}", tag(), ""),
        ("environments: {p: {tags: 'v*'}}", push(), "environment p takes tags v*; this change is on main"),
        ("environments: {p: }, branches: {protected: main}", push(), ""),
        ("environments: {p: }, branches: {protected: main}", tag(), ""),
        (
            "environments: {p: }, branches: {protected: main}",
            push("x"),
            "environment p takes protected branches; the project's protected branches are main; this change is on x",
        ),
        ("environments: {p: {branches: 'x'}}, branches: {protected: main}", push("x"), ""),
    ],
)
def test_an_environment_takes_only_what_the_operator_lets_reach_it(
    rules: str, change: Change, reason: str
) -> None:
    config = stages("[{agent: deploy, environment: p}]")
    assert stage_of(config, "deploy", change, project(rules)).skip == reason


def test_protected_branches_count_also_where_no_environment_is_listed() -> None:
    config = stages("[{agent: deploy, environment: p}]")
    assert stage_of(config, "deploy", push("x"), project("branches: {protected: main}")).skip
    assert not stage_of(config, "deploy", push("x"), ANYONE).skip


def test_a_rule_that_takes_too_long_to_compare_holds() -> None:
    when = when_of("{paths: ['" + "**/" + "a/" * 120 + "b']}")
    verdict = takes_part(when, push(paths=tuple(f"{'a/' * 2000}{n}" for n in range(100))), "")
    assert verdict.holds
    assert "takes too long, so it holds" in verdict.reason


def when_of(text: str) -> When | None:
    (group,) = stages(f"[{{agent: lint, when: {text}}}]").groups
    return group[0].when
