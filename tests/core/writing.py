"""Short ways to write configuration files, projects and changes in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from turnout.adapters.yaml_source import load
from turnout.core.change import Change
from turnout.core.config import PipelineConfig, ProjectConfig, parse_pipeline, parse_project
from turnout.core.errors import InvalidConfig, Problem
from turnout.core.model import ChangeKind
from turnout.core.plan import NotTriggered, Plan, PlannedStage
from turnout.core.planner import plan

ANYONE = ProjectConfig(repository="org/shop")

SMALLEST = """
pipeline:
  stages:
    - lint
    - test
    - build
    - security
    - deploy
  retry_on_failure: true
  notify_on_success: true
  deploy_environment: staging
"""

EVERY_WORD = """
pipeline:
  on: {push: {branches: [main, "release/*"]}, pull_request: {}, tag: ["v*"], schedule: "0 3 * * *", manual: {}}
  concurrency: {group: "{ref}", cancel_superseded: true}
  stages:
    - name: unit
      agent: test
      needs: []                       # no needs: after the stage before it; given: a DAG
      with: {runner: pytest, args: ["-q"], coverage_min: 80, retry: failed-tests}
      matrix: {python: ["3.11", "3.12"]}
      when: {branch: [main], paths: ["src/**"], event: [push], environment: [staging]}
      retries: {max: 2, backoff: 10s, factor: 2, on: [failure, error]}
      timeout: 15m
      allow_failure: false
      runtime: kubernetes
      resources: {cpu: 2, memory: 2Gi}
      env: {CI: "true"}
      secrets: [PYPI_TOKEN]
    - name: ship
      agent: deploy
      environment: production
      approval: {required: 1, by: ["@org/release"], expires: 24h}
      with: {helm: {chart: deploy/chart, release: shop, values: [deploy/prod.yaml]}}
      rollback: true
  notify: {slack: "#deploys", email: [team@example.org], on: [failure, recovered, success]}
"""


def pipeline(text: str, **given: Any) -> PipelineConfig:
    return parse_pipeline(load(text, "pipeline.yml"), **given)


def stages(lines: str) -> PipelineConfig:
    """A pipeline of these stages, given as a YAML flow list."""
    return pipeline(f"pipeline: {{stages: {lines}}}")


def project(keys: str) -> ProjectConfig:
    """A project with these keys (in YAML, as within braces) besides its repository."""
    return parse_project(load(f"project: {{repository: org/shop, {keys}}}", "project.yml"))


def reads_or_says_where(read: Callable[[], object]) -> bool:
    """False only for a refusal that has no problem, or one without a place."""
    refused = False
    found: tuple[Problem, ...] = ()
    try:
        read()
    except InvalidConfig as error:
        refused, found = True, error.problems
    placed = all(each.line >= 1 and each.column >= 1 and each.message for each in found)
    return not refused or (bool(found) and placed)


def problems(text: str, **given: Any) -> tuple[Problem, ...]:
    with pytest.raises(InvalidConfig) as caught:
        pipeline(text, **given)
    return caught.value.problems


def project_problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidConfig) as caught:
        parse_project(load(text, "project.yml"))
    return caught.value.problems


def the_problem(text: str, **given: Any) -> Problem:
    found = problems(text, **given)
    assert len(found) == 1, [str(each) for each in found]
    return found[0]


def push(branch: str = "main", **more: Any) -> Change:
    return _change(kind=ChangeKind.PUSH, ref=f"refs/heads/{branch}", branch=branch, **more)


def tag(name: str = "v1.0", **more: Any) -> Change:
    return _change(kind=ChangeKind.TAG, ref=f"refs/tags/{name}", tag=name, **more)


def pull_request(branch: str = "feature", base: str = "main", **more: Any) -> Change:
    return _change(
        kind=ChangeKind.PULL_REQUEST,
        ref="refs/pull/7/head",
        branch=branch,
        base_branch=base,
        number=7,
        **more,
    )


def fork(branch: str = "main", **more: Any) -> Change:
    return pull_request(branch, fork=True, **more)


def request(kind: ChangeKind) -> Change:
    return _change(kind=kind, ref="refs/heads/main", branch="main")


def _change(**given: Any) -> Change:
    return Change(repository="org/shop", clone_url="/srv/shop.git", sha="a" * 40, **given)


def planned(config: PipelineConfig, change: Change | None = None, by: ProjectConfig = ANYONE) -> Plan:
    found = plan(config, by, change or push())
    assert isinstance(found, Plan), found
    return found


def stage_of(
    config: PipelineConfig, name: str, change: Change | None = None, by: ProjectConfig = ANYONE
) -> PlannedStage:
    return planned(config, change, by).stage(name)


def refusal(config: PipelineConfig, change: Change, by: ProjectConfig = ANYONE) -> str:
    """Why ``change`` starts nothing."""
    found = plan(config, by, change)
    assert isinstance(found, NotTriggered), found
    return found.reason
