from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.core.writing import (
    ANYONE,
    EVERY_WORD,
    SMALLEST,
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
from turnout.adapters.yaml_source import load
from turnout.core.change import Change
from turnout.core.config import ProjectConfig, parse_pipeline
from turnout.core.errors import InvalidConfig
from turnout.core.model import ChangeKind, Outcome, Runtime
from turnout.core.plan import Approval, Concurrency, PlannedStage, Resources, Retries
from turnout.core.planned import CACHE_SWITCH
from turnout.core.planner import canonical_json, digest_of, plan, reasons


def test_the_smallest_file_plans_five_stages_in_a_row() -> None:
    made = planned(pipeline(SMALLEST))
    assert [(s.name, s.agent, s.needs) for s in made.stages] == [
        ("lint", "lint", ()),
        ("test", "test", ("lint",)),
        ("build", "build", ("test",)),
        ("security", "security", ("build",)),
        ("deploy", "deploy", ("security",)),
    ]
    assert all(s.retries == Retries(max=1) for s in made.stages)
    assert all([task.id for task in s.tasks] == [s.name] for s in made.stages)
    assert [s.environment for s in made.stages] == ["", "", "", "", "staging"]
    assert made.notify.on == ("failure", "recovered", "success")
    assert made.concurrency is None
    assert not any(s.skip for s in made.stages)


def test_the_file_with_every_word_plans_as_it_is() -> None:
    made = planned(pipeline(EVERY_WORD), push(paths=("src/shop.py",)))
    unit, ship = made.stages
    assert [task.id for task in unit.tasks] == ["unit[python=3.11]", "unit[python=3.12]"]
    assert [task.cell for task in unit.tasks] == [{"python": "3.11"}, {"python": "3.12"}]
    assert unit.retries == Retries(max=2, backoff=10.0, factor=2.0, on=(Outcome.FAILURE, Outcome.ERROR))
    assert unit.timeout == 900.0
    assert unit.runtime is Runtime.KUBERNETES
    assert unit.resources == Resources(cpu=2.0, memory=2 * 1024**3)
    assert unit.secrets == ("PYPI_TOKEN",)
    assert unit.skip.startswith("`when.environment` lists staging; the stage has no environment")
    assert ship.needs == ("unit",)
    assert ship.approval == Approval(required=1, by=("@org/release",), expires=86400.0)
    assert ship.environment == "production"
    assert ship.rollback == "ship"
    assert made.concurrency == Concurrency(group="refs/heads/main", cancel_superseded=True)
    assert made.notify.slack == "#deploys"
    assert made.notify.email == ("team@example.org",)


def test_the_same_input_gives_the_same_bytes() -> None:
    def once() -> str:
        return planned(pipeline(EVERY_WORD), push(paths=("src/a", "b"))).model_dump_json()

    assert once() == once()


def test_the_digest_is_of_all_but_itself() -> None:
    made = planned(pipeline(SMALLEST))
    assert made.digest == digest_of(made.with_(digest="anything"))
    assert made.digest != digest_of(made.with_(fail_fast=False))
    assert made.digest != planned(pipeline(SMALLEST), by=ProjectConfig(repository="org/other")).digest


def test_a_digest_does_not_depend_on_the_process() -> None:
    """Sets of names have another order in each process."""
    code = (
        "from tests.core.writing import *; import sys;"
        "by = project('environments: {staging: , production: }');"
        "sys.stdout.write(planned(pipeline(EVERY_WORD), push(paths=('a', 'b')), by).digest)"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    by = project("environments: {staging: , production: }")
    assert elsewhere.stdout == planned(pipeline(EVERY_WORD), push(paths=("a", "b")), by).digest


def test_comments_and_the_order_of_keys_do_not_change_the_digest() -> None:
    one = pipeline(
        "pipeline:\n  fail_fast: false # why not\n  stages: [{name: a, agent: test, timeout: 60s}]\n"
    )
    two = pipeline("pipeline: {stages: [{timeout: 1m, agent: test, name: a}], fail_fast: false}")
    assert planned(one).digest == planned(two).digest


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": 1, "a": [1.5, "ä"]}) == '{"a":[1.5,"ä"],"b":1}'.encode()


def test_stages_stand_after_what_they_need_and_else_in_the_order_of_the_file() -> None:
    made = planned(
        stages(
            "[{agent: deploy, needs: [build, test]}, {agent: test, needs: []},"
            " {agent: build, needs: lint}, {agent: lint, needs: []}]"
        )
    )
    assert [stage.name for stage in made.stages] == ["test", "lint", "build", "deploy"]


def test_a_stage_without_needs_comes_after_the_whole_group_above_it() -> None:
    made = planned(stages("[[lint, test], build, [security, {agent: script, needs: [lint]}], deploy]"))
    assert {stage.name: stage.needs for stage in made.stages} == {
        "lint": (),
        "test": (),
        "build": ("lint", "test"),
        "security": ("build",),
        "script": ("lint",),
        "deploy": ("security", "script"),
    }


def test_a_matrix_of_two_axes_makes_a_task_of_each_pair() -> None:
    stage = stage_of(
        stages("[{name: unit, agent: test, matrix: {python: [3.10, 3.11], os: [linux, mac]}}]"), "unit"
    )
    assert [task.id for task in stage.tasks] == [
        "unit[python=3.10,os=linux]",
        "unit[python=3.10,os=mac]",
        "unit[python=3.11,os=linux]",
        "unit[python=3.11,os=mac]",
    ]


def test_a_stages_own_retries_win_over_the_pipelines() -> None:
    made = planned(pipeline("pipeline: {retry_on_failure: true, stages: [lint, {agent: test, retries: 0}]}"))
    assert [stage.retries.max for stage in made.stages] == [1, 0]


def test_without_a_word_on_retries_there_are_none() -> None:
    assert stage_of(stages("[lint]"), "lint").retries.max == 0


def test_a_rollback_names_the_stage_whose_deployment_it_undoes() -> None:
    made = planned(stages("[{agent: deploy, rollback: true}, {agent: script, rollback: deploy}, test]"))
    assert [stage.rollback for stage in made.stages] == ["deploy", "deploy", ""]


def test_only_deploy_stages_take_the_pipelines_environment() -> None:
    config = pipeline(
        "pipeline: {deploy_environment: staging, stages: [test, deploy, {name: x, agent: deploy, environment: prod}]}"
    )
    assert [stage.environment for stage in planned(config).stages] == ["", "staging", "prod"]


# --- notify and concurrency ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("", ("failure", "recovered")),
        ("notify_on_success: true, ", ("failure", "recovered", "success")),
        ("notify: {on: success}, ", ("failure", "success")),
        ("notify: {on: []}, ", ("failure",)),
        ("notify: {on: [success, recovered]}, ", ("failure", "recovered", "success")),
        ("notify: {on: recovered}, notify_on_success: true, ", ("failure", "recovered", "success")),
    ],
)
def test_a_failure_is_told_in_any_case(keys: str, told: tuple[str, ...]) -> None:
    assert planned(pipeline(f"pipeline: {{{keys}stages: [lint]}}")).notify.on == told


def test_the_projects_channels_are_told_where_the_pipeline_names_none() -> None:
    by = project('channels: {slack: "#ops", email: [ops@example.org]}')
    assert planned(stages("[lint]"), by=by).notify.slack == "#ops"
    notify = planned(pipeline('pipeline: {notify: {slack: "#own"}, stages: [lint]}'), by=by).notify
    assert (notify.slack, notify.email) == ("#own", ("ops@example.org",))


def test_a_newer_commit_of_a_pull_request_cancels_the_run_of_the_older() -> None:
    made = planned(stages("[lint]"), pull_request())
    assert made.concurrency == Concurrency(group="org/shop:refs/pull/7/head", cancel_superseded=True)


@pytest.mark.parametrize("change", [push(), tag(), request(ChangeKind.MANUAL)])
def test_other_changes_have_no_group_of_their_own(change: Change) -> None:
    assert planned(stages("[lint]"), change).concurrency is None


@pytest.mark.parametrize(
    ("group", "change", "filled"),
    [
        ("{ref}", push("main"), "refs/heads/main"),
        ("{project}/{event}", push("main"), "org/shop/push"),
        ("pr-{number}", pull_request(), "pr-7"),
        ("pr-{number}", push("main"), "pr-refs/heads/main"),
        ("b-{branch}", push("main"), "b-main"),
        ("b-{branch}", tag("v1"), "b-refs/tags/v1"),
        ("deploy", push("main"), "deploy"),
    ],
)
def test_a_groups_placeholders_are_filled(group: str, change: Change, filled: str) -> None:
    made = planned(pipeline(f"pipeline: {{concurrency: '{group}', stages: [lint]}}"), change)
    assert made.concurrency is not None
    assert made.concurrency.group == filled


def test_a_ref_with_braces_is_not_filled_again() -> None:
    made = planned(pipeline("pipeline: {concurrency: '{ref}', stages: [lint]}"), push("{project}"))
    assert made.concurrency == Concurrency(group="refs/heads/{project}", cancel_superseded=False)


def test_a_configured_group_cancels_for_pull_requests_only_unless_it_says() -> None:
    config = pipeline("pipeline: {concurrency: '{ref}', stages: [lint]}")
    one, other = planned(config, pull_request()).concurrency, planned(config, push()).concurrency
    assert one is not None
    assert other is not None
    assert (one.cancel_superseded, other.cancel_superseded) == (True, False)


# --- the operator's side ------------------------------------------------------------------------


def test_what_asks_for_more_than_a_limit_is_cut_and_says_so() -> None:
    by = project("limits: {timeout_max: 30m, retries_max: 1, cpu: 2, memory: 1Gi, parallel: 4}")
    config = stages("[{agent: test, timeout: 2h, retries: 5, resources: {cpu: 8, memory: 4Gi}}]")
    stage = stage_of(config, "test", by=by)
    assert (stage.timeout, stage.retries.max) == (1800.0, 1)
    assert stage.resources == Resources(cpu=2.0, memory=1024**3)
    assert stage.notes == (
        "5 was asked for, the project's `limits.retries_max` is 1",
        "2h was asked for, the project's `limits.timeout_max` is 30m",
        "8 was asked for, the project's `limits.cpu` is 2",
        "4Gi was asked for, the project's `limits.memory` is 1Gi",
    )
    assert planned(config, by=by).parallel == 4


def test_limits_hold_for_stages_that_ask_for_nothing() -> None:
    by = project("limits: {timeout_max: 30m, retries_max: 0, cpu: 2, memory: 1Gi}")
    stage = stage_of(pipeline("pipeline: {retry_on_failure: true, stages: [test]}"), "test", by=by)
    assert (stage.timeout, stage.retries.max) == (1800.0, 0)
    assert stage.resources == Resources(cpu=2.0, memory=1024**3)


def test_what_stays_within_the_limits_is_left_as_it_is() -> None:
    by = project("limits: {timeout_max: 3h, retries_max: 3, cpu: 2, memory: 1Gi}")
    stage = stage_of(stages("[{agent: test, timeout: 2h, retries: 2, resources: {cpu: 1}}]"), "test", by=by)
    assert (stage.timeout, stage.retries.max, stage.resources.cpu, stage.notes) == (7200.0, 2, 1.0, ())


def test_the_projects_runtime_is_for_stages_that_name_none() -> None:
    made = planned(stages("[lint, {agent: test, runtime: docker}]"), by=project("runtime: kubernetes"))
    assert [stage.runtime for stage in made.stages] == [Runtime.KUBERNETES, Runtime.DOCKER]


def test_a_cache_that_is_switched_off_is_told_to_the_agents_that_have_one() -> None:
    config = stages("[{agent: lint, env: {A: 1}}, build]")
    made = planned(config, by=project("cache: {dependencies: false}"))
    assert [stage.env for stage in made.stages] == [{"A": "1", CACHE_SWITCH: "off"}, {}]
    assert [stage.env for stage in planned(config).stages] == [{"A": "1"}, {}]


@pytest.mark.parametrize(
    ("own", "floor", "wanted"),
    [
        ("", "approval: 2", Approval(required=2)),
        ("approval: 3", "", Approval(required=3)),
        ("approval: 1", "approval: 2", Approval(required=2)),
        ("approval: 3", "approval: 2", Approval(required=3)),
        ("approval: {by: '@a'}", "approval: {by: ['@a', '@b']}", Approval(by=("@a",))),
        ("approval: {by: '@me'}", "approval: {by: ['@a', '@b']}", Approval(by=("@a", "@b"))),
        ("approval: {by: '@me'}", "approval: {}", Approval(by=("@me",))),
        ("approval: {expires: 48h}", "approval: {expires: 1h}", Approval(expires=3600.0)),
    ],
)
def test_a_stage_cannot_ask_for_less_approval_than_its_environment(
    own: str, floor: str, wanted: Approval
) -> None:
    by = project(f"environments: {{production: {{{floor}}}}}")
    config = stages(f"[{{agent: deploy, environment: production, {own}}}]")
    assert stage_of(config, "deploy", by=by).approval == wanted


def test_an_environment_that_the_project_lacks_is_never_planned() -> None:
    with pytest.raises(InvalidConfig, match="production"):
        planned(
            stages("[{agent: deploy, environment: prodution}]"), by=project("environments: {production: }")
        )


# --- forks --------------------------------------------------------------------------------------


def test_of_a_fork_nothing_starts_before_somebody_agrees() -> None:
    by = project("forks: {by: '@org/maintainers'}")
    made = planned(stages("[[lint, test], build]"), fork(), by)
    gate = Approval(by=("@org/maintainers",))
    assert [stage.approval for stage in made.stages] == [gate, gate, None]


def test_a_stage_behind_skipped_ones_only_waits_for_agreement_too() -> None:
    made = planned(stages("[{agent: lint, when: {event: push}}, test, build]"), fork())
    assert [bool(stage.approval) for stage in made.stages] == [False, True, False]


ASKING = "environments: {production: {attested: %s}}"


def shipped(text: str, asked: str, change: Change | None = None) -> PlannedStage:
    """The stage ``ship``, which deploys to production."""
    return planned(stages(text), change, by=project(ASKING % asked)).stage("ship")


def test_a_stage_asks_for_the_attestations_that_its_environment_asks_for() -> None:
    text = "[build, security, {name: ship, agent: deploy, environment: production}]"
    assert shipped(text, "[build, security]").attested == ("build", "security")
    assert shipped(text, "[build, security]").notes == ()
    assert shipped(text, "false").attested == ()
    assert stage_of(stages(text), "build", by=project(ASKING % "true")).attested == ()


def test_all_of_them_are_the_stages_before_it_that_must_pass() -> None:
    text = """[{name: odd, agent: lint, needs: []}, {name: unit, agent: test, needs: []},
        {name: image, agent: build, needs: [unit]}, {name: hint, agent: lint, needs: [image], allow_failure: true},
        {name: tagged, agent: test, needs: [image], when: {tag: 'v*'}},
        {name: ship, agent: deploy, environment: production, needs: [hint, tagged]}]"""
    assert shipped(text, "true").attested == ("stage:unit", "stage:image")


def test_what_is_asked_for_and_never_comes_is_noted() -> None:
    ship = shipped(
        "[build, {name: ship, agent: deploy, environment: production}]", "[build, security, 'stage:soak']"
    )
    assert ship.attested == ("build", "security", "stage:soak")
    assert [note.split(" attested by ")[1] for note in ship.notes] == [
        "security, and nothing before this stage is",
        "stage:soak, and nothing before this stage is",
    ]


def test_a_first_stage_with_an_approval_of_its_own_keeps_it() -> None:
    assert stage_of(stages("[{agent: lint, approval: 3}]"), "lint", fork()).approval == Approval(required=3)


def test_a_fork_gets_no_secrets_and_no_network_and_is_told() -> None:
    stage = stage_of(stages("[{agent: test, secrets: [TOKEN], network: true}]"), "test", fork())
    assert stage.secrets == ()
    assert not stage.network
    assert any("TOKEN" in note for note in stage.notes)
    assert any("network" in note for note in stage.notes)


def test_the_operator_may_give_forks_network_but_never_secrets() -> None:
    by = project("forks: {run: always, network: true}, secrets: {TOKEN: {env: T}}")
    stage = stage_of(stages("[{agent: test, secrets: [TOKEN], network: true}]"), "test", fork(), by)
    assert (stage.network, stage.secrets, stage.approval) == (True, (), None)


@pytest.mark.parametrize("group", ["{branch}", "deploys", "{project}", "{event}"])
def test_a_fork_neither_holds_nor_cancels_the_repositorys_own_runs(group: str) -> None:
    config = pipeline(
        f"pipeline: {{stages: [lint], concurrency: {{group: '{group}', cancel_superseded: true}}}}"
    )
    theirs, ours = planned(config, fork("main")).concurrency, planned(config, push("main")).concurrency
    assert theirs is not None
    assert ours is not None
    assert theirs.group != ours.group
    assert theirs == planned(config, fork("main").with_(sha="f" * 40)).concurrency, (
        "its next commit takes its place"
    )


def test_a_fork_never_reaches_an_environment() -> None:
    by = project("forks: {run: always}")
    skip = stage_of(stages("[{agent: deploy, environment: production}]"), "deploy", fork(), by).skip
    assert skip == "a pull request from a fork never reaches environment production"


def test_a_fork_starts_nothing_where_the_operator_says_never() -> None:
    assert "`forks.run` is never" in refusal(stages("[lint]"), fork(), project("forks: {run: never}"))


def test_a_pull_request_from_the_repository_itself_is_trusted() -> None:
    stage = stage_of(stages("[{agent: test, secrets: [TOKEN], network: true}]"), "test", pull_request())
    assert (stage.secrets, stage.network, stage.approval) == (("TOKEN",), True, None)


# --- reasons and speed --------------------------------------------------------------------------


def test_every_stage_has_a_reason_for_running_or_not() -> None:
    config = stages(
        "[lint, {agent: test, when: {branch: main, paths: ['src/**']}}, {agent: deploy, when: {event: tag}}]"
    )
    found = reasons(config, ANYONE, push(paths=("src/a.py",)))
    assert [each.holds for each in found.values()] == [True, True, False]
    assert found["lint"].reason.startswith("it has no `when`")
    assert "`when.branch` lists main; this change is on main" in found["test"].reason
    assert "src/a.py has changed" in found["test"].reason
    assert found["deploy"].reason == stage_of(config, "deploy", push(paths=())).skip


def test_a_plan_is_json_through_and_through() -> None:
    made = planned(stages("[{agent: script, with: {a: [1, 2.5, ~, {b: true}]}}]"))
    assert json.loads(made.model_dump_json()) == made.to_json()


def test_reading_and_planning_a_normal_file_takes_a_few_milliseconds() -> None:
    def once() -> float:
        before = time.process_time()
        plan(parse_pipeline(load(EVERY_WORD, "pipeline.yml")), ANYONE, push())
        return time.process_time() - before

    assert min(once() for _ in range(10)) < 0.02
