from __future__ import annotations

import pytest

from tests.core.writing import EVERY_WORD, SMALLEST, pipeline, stages
from turnout.core.config import needs_paths
from turnout.core.config_stage import StageConfig
from turnout.core.config_triggers import DEFAULT_TRIGGERS
from turnout.core.model import ChangeKind, Outcome, Runtime


def only(lines: str) -> StageConfig:
    """The one stage of a pipeline."""
    ((stage,),) = stages(f"[{lines}]").groups
    return stage


def test_the_smallest_file_is_read_as_it_is() -> None:
    config = pipeline(SMALLEST)
    assert [(s.name, s.agent) for (s,) in config.groups] == [
        (word, word) for word in ("lint", "test", "build", "security", "deploy")
    ]
    assert config.retry_on_failure
    assert config.notify_on_success
    assert config.deploy_environment == "staging"
    assert config.on == DEFAULT_TRIGGERS


def test_the_file_with_every_word_is_read_as_it_is() -> None:
    config = pipeline(EVERY_WORD)
    assert config.on.push is not None
    assert config.on.push.branches == ("main", "release/*")
    assert config.on.tag is not None
    assert config.on.tag.tags == ("v*",)
    assert config.on.schedule is not None
    assert config.on.schedule.cron == ("0 3 * * *",)
    assert config.on.events == ("push", "pull_request", "tag", "manual", "schedule")
    ((unit,), (ship,)) = config.groups
    assert unit.needs == ()
    assert unit.options == {"runner": "pytest", "args": ["-q"], "coverage_min": 80, "retry": "failed-tests"}
    assert unit.matrix == {"python": ("3.11", "3.12")}
    assert unit.when is not None
    assert unit.when.event == (ChangeKind.PUSH,)
    assert unit.retries is not None
    assert (unit.retries.max, unit.retries.backoff, unit.retries.factor) == (2, 10.0, 2.0)
    assert unit.retries.on == (Outcome.FAILURE, Outcome.ERROR)
    assert unit.timeout == 900.0
    assert unit.runtime is Runtime.KUBERNETES
    assert (unit.resources.cpu, unit.resources.memory) == (2.0, 2 * 1024**3)
    assert unit.env == {"CI": "true"}
    assert unit.secrets == ("PYPI_TOKEN",)
    assert ship.needs is None
    assert ship.approval is not None
    assert ship.approval.by == ("@org/release",)
    assert ship.approval.expires == 24 * 3600.0
    assert ship.rollback is True
    assert config.notify.on == ("failure", "recovered", "success")


def test_a_nested_list_is_a_group() -> None:
    config = stages("[[lint, {name: unit, agent: test}], build]")
    assert [[stage.name for stage in group] for group in config.groups] == [["lint", "unit"], ["build"]]


def test_of_name_and_agent_one_is_enough() -> None:
    assert (only("{name: lint}").agent, only("{agent: lint}").name) == ("lint", "lint")


def test_a_number_of_retries_is_their_most() -> None:
    assert only("{agent: test, retries: 2}").retries == only("{agent: test, retries: {max: 2}}").retries


def test_retries_that_say_only_when_are_one() -> None:
    retries = only("{agent: test, retries: {backoff: 1m}}").retries
    assert retries is not None
    assert (retries.max, retries.backoff) == (1, 60.0)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("approval: true", "approval: {}"),
        ("approval: 2", "approval: {required: 2}"),
        ("needs: lint", "needs: [lint]"),
        ("when: {branch: main}", "when: {branch: [main]}"),
        ("when: {event: push}", "when: {event: [push]}"),
        ("matrix: {os: linux}", "matrix: {os: [linux]}"),
        ("secrets: TOKEN", "secrets: [TOKEN]"),
        ("resources: {cpu: 500m}", "resources: {cpu: 0.5}"),
    ],
)
def test_short_forms_mean_the_long_ones(short: str, long: str) -> None:
    assert stages(f"[lint, {{agent: test, {short}}}]") == stages(f"[lint, {{agent: test, {long}}}]")


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("push", "{push: {}}"),
        ("[push, tag]", "{push: {}, tag: {}}"),
        ("{push: }", "{push: {}}"),
        ("{push: true}", "{push: {}}"),
        ("{push: main}", "{push: {branches: [main]}}"),
        ("{push: {}, manual: false}", "{push: {}}"),
        ("{pull_request: [main, 'v*']}", "{pull_request: {branches: [main, 'v*']}}"),
        ("{tag: v*}", "{tag: {tags: [v*]}}"),
        ("{schedule: '0 3 * * *'}", "{schedule: {cron: ['0 3 * * *']}}"),
    ],
)
def test_short_forms_of_events_mean_the_long_ones(short: str, long: str) -> None:
    def on(text: str) -> object:
        return pipeline(f"pipeline: {{on: {text}, stages: [lint]}}").on

    assert on(short) == on(long)


def test_a_word_for_concurrency_is_its_group() -> None:
    config = pipeline("pipeline: {concurrency: '{branch}', stages: [lint]}")
    assert config.concurrency is not None
    assert config.concurrency.group == "{branch}"


def test_the_text_of_a_version_is_kept() -> None:
    stage = only("{agent: test, matrix: {python: [3.10, 3.11]}, env: {PORT: 8080, MODE: 0755}}")
    assert stage.matrix == {"python": ("3.10", "3.11")}
    assert stage.env == {"PORT": "8080", "MODE": "0755"}


def test_the_cells_of_a_matrix_keep_the_order_of_the_file() -> None:
    stage = only("{agent: test, matrix: {python: ['3.12', '3.11'], os: [linux, mac]}}")
    assert stage.cells() == (
        {"python": "3.12", "os": "linux"},
        {"python": "3.12", "os": "mac"},
        {"python": "3.11", "os": "linux"},
        {"python": "3.11", "os": "mac"},
    )


def test_a_matrix_may_have_200_cells() -> None:
    values = list(range(100))
    assert len(only(f"{{agent: test, matrix: {{a: {values}, b: [x, y]}}}}").cells()) == 200


def test_options_are_the_agents_own_matter() -> None:
    stage = only("{agent: script, with: {run: make, deep: {list: [1, ~, true]}, empty: }}")
    assert stage.options == {"run": "make", "deep": {"list": [1, None, True]}, "empty": None}


def test_top_level_keys_beginning_with_x_are_left_alone() -> None:
    text = "x-test: &t {agent: test, timeout: 5m}\npipeline:\n  stages:\n    - {<<: *t, name: unit}\n"
    ((stage,),) = pipeline(text).groups
    assert (stage.name, stage.agent, stage.timeout) == ("unit", "test", 300.0)


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        (SMALLEST, False),
        (EVERY_WORD, True),
        ("pipeline: {on: {push: {paths: [a]}}, stages: [lint]}", True),
        ("pipeline: {on: {pull_request: {paths: [a]}}, stages: [lint]}", True),
        ("pipeline: {on: {tag: [a]}, stages: [{agent: lint, when: {event: tag}}]}", False),
    ],
)
def test_whether_changed_files_are_asked_for_is_known(text: str, asks: bool) -> None:
    assert needs_paths(pipeline(text)) is asks


def test_agents_of_ones_own_can_be_named() -> None:
    config = pipeline("pipeline: {stages: [fuzz]}", agents=("fuzz",))
    assert config.groups[0][0].agent == "fuzz"
