from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.writing import (
    EVERY_WORD,
    problems,
    project,
    project_problems,
    reads_or_says_where,
    the_problem,
)
from turnout.adapters.yaml_source import load
from turnout.core.config import parse_pipeline, parse_project
from turnout.core.document import Document
from turnout.core.errors import InvalidConfig


def in_stage(text: str) -> str:
    return f"pipeline: {{stages: [{{agent: test, {text}}}]}}"


@pytest.mark.parametrize(
    ("text", "path", "message", "hint"),
    [
        (
            in_stage("retires: 1"),
            "pipeline.stages[0].retires",
            "unknown key `retires`",
            "did you mean `retries`?",
        ),
        (in_stage("retries: {maks: 1}"), "pipeline.stages[0].retries.maks", "unknown key `maks`", "`max`"),
        (
            in_stage("zzz: 1"),
            "pipeline.stages[0].zzz",
            "unknown key `zzz`",
            "known are name, agent, needs, with",
        ),
        (in_stage("options: {}"), "pipeline.stages[0].options", "unknown key `options`", "known are"),
        (
            in_stage("retries: {max: 99}"),
            "pipeline.stages[0].retries.max",
            "got `99`, expected at most 10",
            "",
        ),
        (in_stage("retries: many"), "pipeline.stages[0].retries", "got `many`, expected a mapping", ""),
        (in_stage("retries: {max: 1.5}"), "pipeline.stages[0].retries.max", "expected a whole number", ""),
        (
            in_stage("retries: {on: [faliure]}"),
            "pipeline.stages[0].retries.on[0]",
            "expected one of",
            "`failure`",
        ),
        (in_stage("retries: {on: []}"), "pipeline.stages[0].retries.on", "got an empty list", ""),
        (in_stage("retries: {backoff: 7h}"), "pipeline.stages[0].retries.backoff", "from 0s to 6h", ""),
        (in_stage("timeout: 15"), "pipeline.stages[0].timeout", "expected a duration like 90s", "unit"),
        (in_stage("timeout: soon"), "pipeline.stages[0].timeout", "got `soon`, expected a duration", ""),
        (in_stage("timeout: 0s"), "pipeline.stages[0].timeout", "from 1s to 30d", ""),
        (in_stage("timeout: [1m]"), "pipeline.stages[0].timeout", "got a list", ""),
        (
            in_stage("allow_failure: yes"),
            "pipeline.stages[0].allow_failure",
            "expected true or false",
            "write true",
        ),
        (in_stage("name: 3"), "pipeline.stages[0].name", "got `3`, expected text", 'put it in quotes: "3"'),
        (in_stage("name: a b"), "pipeline.stages[0].name", "got `a b`, expected letters", ""),
        (in_stage("runtime: kubernets"), "pipeline.stages[0].runtime", "expected one of", "`kubernetes`"),
        (in_stage("resources: {memory: 2 GB}"), "pipeline.stages[0].resources.memory", "expected a size", ""),
        (in_stage("resources: {cpu: -1}"), "pipeline.stages[0].resources.cpu", "expected at least 0", ""),
        (in_stage("env: {1A: x}"), "pipeline.stages[0].env.1A", "got `1A`, expected a variable's name", ""),
        (in_stage("env: {A: [x]}"), "pipeline.stages[0].env.A", "got a list, expected text", ""),
        (in_stage("env: {A: }"), "pipeline.stages[0].env.A", "got nothing", "remove"),
        (in_stage("needs: "), "pipeline.stages[0].needs", "got nothing", "remove"),
        (in_stage("secrets: [a-b]"), "pipeline.stages[0].secrets[0]", "expected a variable's name", ""),
        (in_stage("matrix: {}"), "pipeline.stages[0].matrix", "got an empty mapping", ""),
        (in_stage("matrix: {a: []}"), "pipeline.stages[0].matrix.a", "got an empty list", ""),
        (in_stage("matrix: {a: [1, 1]}"), "pipeline.stages[0].matrix.a", "`1` is listed twice", "remove"),
        (in_stage("matrix: {a: ['x,y']}"), "pipeline.stages[0].matrix.a[0]", "no comma", ""),
        (in_stage("when: {branch: 'a**'}"), "pipeline.stages[0].when.branch", "must stand alone", ""),
        (in_stage("when: {paths: [/src/**]}"), "pipeline.stages[0].when.paths[0]", "write `src/**`", ""),
        (in_stage("when: {paths: [src/]}"), "pipeline.stages[0].when.paths[0]", "write `src/**`", ""),
        (in_stage("when: {branch: '[ab'}"), "pipeline.stages[0].when.branch", "without its `]`", ""),
        (in_stage("when: {event: pussh}"), "pipeline.stages[0].when.event", "expected one of", "`push`"),
        (in_stage("approval: {by: [ada]}"), "pipeline.stages[0].approval.by[0]", "expected `@user`", ""),
        (in_stage("approval: 0"), "pipeline.stages[0].approval", "got `0`, expected at least 1", ""),
        (in_stage("rollback: [x]"), "pipeline.stages[0].rollback", "expected true, or the name", ""),
        (
            "pipeline: {stages: [[lint, [test]]]}",
            "pipeline.stages[0][1]",
            "got a list, expected a stage",
            "nested",
        ),
        ("pipeline: {stages: [5]}", "pipeline.stages[0]", "got `5`, expected a stage", ""),
        ("pipeline: {stages: [lint, []]}", "pipeline.stages[1]", "got an empty list", ""),
        ("pipeline: {stages: [lint, ]}\npipelines: 1", "pipelines", "unknown key `pipelines`", "`pipeline`"),
        ("pipeline: {stages: []}", "pipeline.stages", "got an empty list", ""),
        ("pipeline: {stages: lint}", "pipeline.stages", "got `lint`, expected a list", ""),
        ("pipeline: {stages: [{with: {}}]}", "pipeline.stages[0]", "key `name` is missing", ""),
        ("pipeline: {}", "pipeline", "key `stages` is missing", ""),
        ("pipeline: [lint]", "pipeline", "got a list, expected a mapping", ""),
        ("stages: [lint]", "stages", "outside of `pipeline`", "under `pipeline:`"),
        ("[lint]", "", "got a list, expected a mapping", "begin with `pipeline:`"),
        ("", "", "empty", "begin with `pipeline:`"),
        ("pipeline:", "pipeline", "missing or empty", "`stages`"),
        ("pipeline: {on: {psh: {}}, stages: [lint]}", "pipeline.on.psh", "unknown key `psh`", "`push`"),
        (
            "pipeline: {on: {schedule: daily}, stages: [lint]}",
            "pipeline.on.schedule",
            "expected five fields",
            "",
        ),
        ("pipeline: {on: {schedule: }, stages: [lint]}", "pipeline.on.schedule", "key `cron` is missing", ""),
        ("pipeline: {on: {}, stages: [lint]}", "pipeline.on", "no event starts", "push"),
        ("pipeline: {on: 3, stages: [lint]}", "pipeline.on", "got `3`, expected a mapping", ""),
        ("pipeline: {concurrency: '{reff}', stages: [lint]}", "pipeline.concurrency", "`{reff}`", "`{ref}`"),
        (
            "pipeline: {concurrency: '{ref', stages: [lint]}",
            "pipeline.concurrency",
            "`{ref` is no",
            "`{ref}`",
        ),
        ("pipeline: {notify: {email: x}, stages: [lint]}", "pipeline.notify.email", "e-mail address", ""),
        (
            "pipeline: {notify: {on: sucess}, stages: [lint]}",
            "pipeline.notify.on",
            "expected one of",
            "`success`",
        ),
        ("pipeline: {notify: {slack: 'a b'}, stages: [lint]}", "pipeline.notify.slack", "Slack channel", ""),
    ],
)
def test_one_wrong_thing_is_one_problem_with_its_path(text: str, path: str, message: str, hint: str) -> None:
    found = the_problem(text)
    assert found.path == path
    assert message in found.message
    assert hint in found.hint
    assert found.line >= 1
    assert found.column >= 1


def test_a_problem_stands_where_the_wrong_thing_is() -> None:
    text = "pipeline:\n  stages:\n    - lint\n    - agent: test\n      name: unit\n"
    text += "      retries: {max: 2, bakoff: 1s}\n"
    found = the_problem(text)
    assert (found.file, found.line, found.column) == ("pipeline.yml", 6, 25)
    assert str(found) == (
        "pipeline.yml:6:25: pipeline.stages[1].retries.bakoff: unknown key `bakoff`; did you mean `backoff`?"
    )


def test_a_wrong_value_is_placed_at_the_value() -> None:
    found = the_problem("pipeline:\n  stages: [{agent: test, timeout:   soon}]\n")
    assert (found.line, found.column) == (2, 37)


def test_a_value_behind_an_alias_is_placed_where_it_is_written() -> None:
    found = the_problem("x-r: &r\n  max: 99\npipeline:\n  stages:\n    - {agent: test, retries: *r}\n")
    assert (found.line, found.column) == (2, 8)


def test_a_long_wrong_value_is_cut() -> None:
    assert len(the_problem(in_stage(f"timeout: {'x' * 5000}")).message) < 200


def test_everything_wrong_is_said_at_once_in_the_order_of_the_file() -> None:
    text = """
pipeline:
  on: {psh: {}}
  stages:
    - {name: a, agent: lnt, needs: [b]}
    - {name: b, agent: lint, needs: [a], timeout: soon}
    - {name: c, agent: lint, needs: [z], retries: {max: 99}}
    - {name: c, agent: test, rollback: x}
  notify: {on: never}
"""
    found = problems(text)
    assert [(each.line, each.path) for each in found] == [
        (3, "pipeline.on.psh"),
        (5, "pipeline.stages[0].agent"),
        (5, "pipeline.stages[0].needs"),
        (6, "pipeline.stages[1].timeout"),
        (7, "pipeline.stages[2].needs[0]"),
        (7, "pipeline.stages[2].retries.max"),
        (8, "pipeline.stages[3].name"),
        (8, "pipeline.stages[3].rollback"),
        (9, "pipeline.notify.on"),
    ]


def test_of_very_many_problems_the_first_hundred_are_said() -> None:
    assert len(problems(f"pipeline: {{stages: [{', '.join(['nope'] * 90)}], a: {list(range(5))}}}")) <= 100
    assert len(problems(in_stage(", ".join(f"k{n}: 1" for n in range(3000))))) == 100


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    for text in (
        "project: {repository: a/b, secrets: {TOKEN: hunter2}}",
        "project: {repository: a/b, secrets: {TOKEN: {file: hunter2}}}",
        "project: {repository: a/b, environments: {x: {secrets: {TOKEN: hunter2}}}}",
        "project: {repository: a/b, clone_url: 'https://me:hunter2@example.org/a/b'}",
    ):
        (found,) = project_problems(text)
        assert "hunter2" not in str(found)
        assert found.path.startswith("project.")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "agent",
                    "needs",
                    "with",
                    "matrix",
                    "when",
                    "retries",
                    "timeout",
                    "env",
                    "secrets",
                    "approval",
                    "branch",
                    "paths",
                    "event",
                    "on",
                    "max",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def _write(tree: object) -> str:
    written: str = yaml.safe_dump(tree, allow_unicode=False)
    return written


def _parse(tree: object, parse: Callable[[Document], object]) -> bool:
    """Whether the tree is read, or refused with places."""
    return reads_or_says_where(lambda: parse(load(_write(tree), "f.yml")))


@settings(max_examples=60, deadline=None)
@given(ANYTHING)
def test_any_tree_is_read_or_refused_with_places(tree: object) -> None:
    assert _parse(tree, parse_pipeline)
    assert _parse(tree, parse_project)


@settings(max_examples=60, deadline=None)
@given(
    stages=st.lists(
        ANYTHING
        | st.dictionaries(
            st.sampled_from(
                ["name", "agent", "needs", "rollback", "environment", "secrets", "when", "matrix"]
            ),
            st.sampled_from(["lint", "test", "deploy", ["lint"], ["test", "deploy"], [], {}, True, 3]),
        ),
        max_size=5,
    ),
    rest=st.dictionaries(
        st.sampled_from(["on", "concurrency", "notify", "deploy_environment", "env"]), ANYTHING
    ),
)
def test_any_stages_are_read_or_refused_with_places(stages: list[object], rest: dict[str, object]) -> None:
    tree = {"pipeline": {"stages": stages, **rest}}
    known = project("environments: {staging: {branches: main}}")
    assert _parse(tree, lambda document: parse_pipeline(document, project=known))


@settings(max_examples=100, deadline=None)
@given(
    where=st.integers(0, len(EVERY_WORD) - 1),
    length=st.integers(0, 6),
    instead=st.text(alphabet="ab1:-[]{}&*,\"' \n", max_size=4),
)
def test_a_slip_of_the_pen_is_read_or_refused_with_places(where: int, length: int, instead: str) -> None:
    text = EVERY_WORD[:where] + instead + EVERY_WORD[where + length :]
    assert reads_or_says_where(lambda: parse_pipeline(load(text, "f.yml")))


def test_what_is_said_of_a_file_with_very_long_names_stays_short_enough_to_be_sent() -> None:
    stages_ = "".join(f"    - {{name: {'x' * 2000}{n}, agent: lint}}\n" for n in range(90))
    needs = ",".join(f"q{n}" for n in range(5_000))
    text = f"pipeline:\n  stages:\n{stages_}    - {{name: z, agent: lint, needs: [{needs}]}}\n"
    with pytest.raises(InvalidConfig) as caught:
        parse_pipeline(load(text, "pipeline.yml"))
    assert len(str(caught.value)) < 21_000
    assert str(caught.value).splitlines()[-1].startswith("… and ")
    assert all(len(str(each)) < 1_200 for each in caught.value.problems)
