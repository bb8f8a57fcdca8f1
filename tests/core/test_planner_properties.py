from __future__ import annotations

from math import prod
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.writing import fork, pipeline, project, pull_request, push, request, tag
from turnout.core.change import Change
from turnout.core.config import ProjectConfig
from turnout.core.model import ChangeKind
from turnout.core.plan import NotTriggered, Plan, PlannedStage
from turnout.core.planner import digest_of, plan

AGENTS = ["lint", "test", "build", "security", "deploy", "script"]
PRINTED = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=3)
WORDS = st.sampled_from(["main", "release/*", "v*", "**", "!main", "src/**", "**/*.py", "[ab]*"])


@st.composite
def stage_trees(draw: st.DrawFn, index: int) -> dict[str, Any]:
    """A valid stage that needs only stages of a smaller index."""
    stage: dict[str, Any] = {"name": f"s{index}", "agent": draw(st.sampled_from(AGENTS))}
    if draw(st.booleans()) or index == 0:
        earlier = [f"s{each}" for each in range(index)]
        stage["needs"] = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if earlier else []
    if draw(st.booleans()):
        axes = draw(st.lists(st.sampled_from(["os", "python", "db"]), unique=True, min_size=1, max_size=3))
        values = st.lists(st.sampled_from(["1", "2.0", "3.10", "x y"]), unique=True, min_size=1, max_size=3)
        stage["matrix"] = {axis: draw(values) for axis in axes}
    if draw(st.booleans()):
        stage["when"] = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "branch": st.lists(WORDS, min_size=1, max_size=2, unique=True),
                    "paths": st.lists(WORDS, min_size=1, max_size=2, unique=True),
                    "event": st.lists(
                        st.sampled_from(["push", "tag", "pull_request"]), min_size=1, unique=True
                    ),
                },
            )
        )
    stage |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "retries": st.integers(0, 10),
                "timeout": st.sampled_from(["1s", "15m", "2h"]),
                "approval": st.integers(1, 3),
                "secrets": st.just(["TOKEN"]),
                "network": st.booleans(),
                "with": st.dictionaries(PRINTED, st.integers() | PRINTED, max_size=2),
            },
        )
    )
    return stage


@st.composite
def pipeline_texts(draw: st.DrawFn) -> str:
    count = draw(st.integers(1, 7))
    flat = [draw(stage_trees(index)) for index in range(count)]
    steps: list[Any] = []
    while flat:
        width = draw(st.integers(1, 3))
        taken, flat = flat[:width], flat[width:]
        for each in taken:  # side by side, so none of them may need another
            each["needs"] = [name for name in each.get("needs", []) if name not in {t["name"] for t in taken}]
        steps.append(taken if len(taken) > 1 else taken[0])
    tree = {
        "pipeline": {
            "stages": steps,
            "retry_on_failure": draw(st.booleans()),
            "deploy_environment": "staging",
        }
    }
    text: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return text


CHANGES = st.sampled_from(
    [
        push(paths=("src/a.py",)),
        push("release/1"),
        tag("v1"),
        pull_request(paths=()),
        fork(),
        fork("x"),
        request(ChangeKind.MANUAL),
        request(ChangeKind.SCHEDULE),
    ]
)
PROJECTS = st.sampled_from(
    [
        project(""),
        project("limits: {timeout_max: 1m, retries_max: 1, cpu: 1}"),
        project("environments: {staging: {branches: main, approval: 2}}"),
    ]
)


@settings(max_examples=40, deadline=None)
@given(text=pipeline_texts(), change=CHANGES, by=PROJECTS)
def test_every_plan_is_sound(text: str, change: Change, by: ProjectConfig) -> None:
    config = pipeline(text)
    made = plan(config, by, change)
    again = plan(pipeline(text), by, change)
    assert made.model_dump_json() == again.model_dump_json()
    if isinstance(made, NotTriggered):
        assert change.kind is ChangeKind.SCHEDULE
        return
    assert made.digest == digest_of(made)
    _check_order(made)
    for group in config.groups:
        for stage in group:
            tasks = made.stage(stage.name).tasks
            assert len(tasks) == prod(len(values) for values in stage.matrix.values())
            assert len({task.id for task in tasks}) == len(tasks)
    if change.fork:
        _check_fork(made)


def _check_order(made: Plan) -> None:
    seen: set[str] = set()
    for stage in made.stages:
        assert set(stage.needs) <= seen
        assert stage.name not in seen
        seen.add(stage.name)


def _check_fork(made: Plan) -> None:
    """Run the plan in mind with nobody agreeing: no stage may start."""
    passed: set[str] = set()
    for stage in made.stages:
        assert stage.secrets == ()
        assert not stage.network
        if set(stage.needs) <= passed and _passes_alone(stage):
            passed.add(stage.name)
    assert all(made.stage(name).skip for name in passed)


def _passes_alone(stage: PlannedStage) -> bool:
    return bool(stage.skip) or stage.approval is None
