"""`plan`: a pipeline config and the operator's rules, resolved for one change. Pure: the same input, the same bytes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from turnout.core.change import Change
from turnout.core.config_pipeline import PipelineConfig
from turnout.core.config_project import ProjectConfig
from turnout.core.config_stage import stage_environment
from turnout.core.config_types import nearest
from turnout.core.errors import InvalidConfig, Problem
from turnout.core.graph import order
from turnout.core.model import ChangeKind
from turnout.core.plan import CheckoutOptions, Concurrency, Notify, NotTriggered, Plan, PlannedStage
from turnout.core.planned import attested_before, fork_approval, participation, planned_stage
from turnout.core.rules import Verdict, triggered
from turnout.core.ruling import Rule

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_APART: Any = {"digest": True, "rulings": True, "stages": {"__all__": {"rulings"}}}
_FACTS = ("failure", "recovered", "success")


def plan(config: PipelineConfig, project: ProjectConfig, change: Change) -> Plan | NotTriggered:
    """What is to be done for ``change``, or why nothing is.

    Raises: InvalidConfig when ``config`` names an environment that ``project`` doesn't have; a config that was parsed
    with this project has been checked for it.
    """
    verdict = starts(config, project, change)
    if not verdict.holds:
        return NotTriggered(
            reason=verdict.reason, rule=verdict.rule, values=dict(verdict.values), flips=verdict.flips
        )
    _refuse_unknown_environments(config, project)
    needs = resolved_needs(config)
    by_name = {stage.name: stage for group in config.groups for stage in group}
    stages = tuple(
        planned_stage(by_name[name], needs[name], config, project, change) for name in order(needs)
    )
    by_stage = {stage.name: stage for stage in stages}
    stages = tuple(attested_before(stage, by_stage) for stage in stages)
    if change.fork and project.forks.run == "approval":
        stages = tuple(_gated(stages, project))
    made = Plan(
        digest="",
        project=project.repository,
        stages=stages,
        checkout=_checkout(config, project, change),
        concurrency=_concurrency(config, project, change),
        notify=_notify(config, project),
        fail_fast=config.fail_fast,
        parallel=project.limits.parallel or 0,
        rulings=verdict.rulings,
    )
    return made.with_(digest=digest_of(made))


def digest_of(made: Plan) -> str:
    """sha256 (hex) of the canonical JSON of what the plan says is to be done."""
    return hashlib.sha256(canonical_json(made.model_dump(mode="json", exclude=_APART))).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Keys sorted, no spaces, UTF-8: one value has one form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def starts(config: PipelineConfig, project: ProjectConfig, change: Change) -> Verdict:
    """Whether the change starts a run, and why."""
    if change.fork and project.forks.run == "never":
        return Verdict(
            False,
            "the project's `forks.run` is never: a pull request from a fork starts nothing",
            Rule.FORKS,
            {"forks.run": "never", "fork": True},
            (
                "the project file's `forks.run` were `approval`",
                "its branch were pushed to the repository itself",
            ),
        )
    return triggered(config.on, change)


def reasons(config: PipelineConfig, project: ProjectConfig, change: Change) -> Mapping[str, Verdict]:
    """By stage, whether it runs for the change and why; for people who ask."""
    return {
        stage.name: participation(stage, config, project, change)
        for group in config.groups
        for stage in group
    }


def resolved_needs(config: PipelineConfig) -> dict[str, tuple[str, ...]]:
    """The stages that each comes after; of a stage that names none, those of the step above it."""
    found: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    for group in config.groups:
        found.update({stage.name: before if stage.needs is None else stage.needs for stage in group})
        before = tuple(stage.name for stage in group)
    return found


def _refuse_unknown_environments(config: PipelineConfig, project: ProjectConfig) -> None:
    named = {
        stage_environment(stage, config.deploy_environment) for group in config.groups for stage in group
    }
    unknown = sorted(named - {""} - set(project.environments)) if project.environments else []
    if unknown:
        raise InvalidConfig(
            [
                Problem(
                    "pipeline file",
                    0,
                    0,
                    "",
                    f"the project has no environment `{name}`",
                    nearest(name, project.environments),
                )
                for name in unknown
            ]
        )


def _gated(stages: Iterable[PlannedStage], project: ProjectConfig) -> Iterator[PlannedStage]:
    """The same stages, an approval before each that could be the first to start.

    A stage behind skipped ones only starts at once, so it is such a stage too. ``stages``: in topological order.
    """
    behind_gate: set[str] = set()
    for stage in stages:
        if not behind_gate.isdisjoint(stage.needs):
            behind_gate.add(stage.name)
            yield stage
        elif stage.skip:
            yield stage
        else:
            behind_gate.add(stage.name)
            note = "a pull request from a fork waits for approval: the project's `forks.run` is approval"
            approval = fork_approval(stage.approval, project.forks)
            yield stage.with_(approval=approval, notes=(*stage.notes, note))


def _checkout(config: PipelineConfig, project: ProjectConfig, change: Change) -> CheckoutOptions:
    """A fork names servers to fetch from only where its code may reach them, too."""
    asked = config.checkout
    return CheckoutOptions(
        submodules="recursive"
        if asked.submodules == "recursive"
        else "direct"
        if asked.submodules
        else "none",
        lfs=asked.lfs,
        history=asked.history,
        elsewhere=not change.fork or project.forks.network,
    )


def _concurrency(config: PipelineConfig, project: ProjectConfig, change: Change) -> Concurrency | None:
    pull_request = change.kind is ChangeKind.PULL_REQUEST
    asked = config.concurrency
    if asked is None:
        group = _fill("{project}:{ref}", project, change)
        return Concurrency(group=group, cancel_superseded=True) if pull_request else None
    cancel = pull_request if asked.cancel_superseded is None else asked.cancel_superseded
    group = _fill(asked.group, project, change)
    if change.fork:
        # Whoever calls their branch `main`, or waits for approval, must not hold or cancel our own runs.
        group = f"{group} of {change.ref}"
    return Concurrency(group=group, cancel_superseded=cancel)


def _fill(group: str, project: ProjectConfig, change: Change) -> str:
    """``{branch}`` and ``{number}`` are the ref where a change has none, so that unlike changes never share a group."""
    values = {
        "ref": change.ref,
        "branch": change.branch or change.ref,
        "project": project.repository,
        "event": change.kind.value,
        "number": str(change.number) if change.number else change.ref,
    }
    return _PLACEHOLDER.sub(lambda found: values[found[1]], group)


def _notify(config: PipelineConfig, project: ProjectConfig) -> Notify:
    wanted = {"failure", *config.notify.on, *(("success",) if config.notify_on_success else ())}
    return Notify(
        slack=config.notify.slack or project.channels.slack,
        email=config.notify.email or project.channels.email,
        on=tuple(fact for fact in _FACTS if fact in wanted),
    )
