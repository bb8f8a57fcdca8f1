"""One stage of a config, resolved for one change: where the operator's rules meet what the repository asks.

A limit cuts what asks for more; every cut, and everything withheld, is a note of the planned stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from turnout.core.change import Change
from turnout.core.config_pipeline import PipelineConfig
from turnout.core.config_project import EVERY_STAGE, ForksConfig, ProjectConfig
from turnout.core.config_stage import ApprovalConfig, StageConfig, stage_environment
from turnout.core.config_triggers import input_variable
from turnout.core.dsse import STAGE
from turnout.core.durations import format_duration, format_size
from turnout.core.model import ChangeKind
from turnout.core.plan import Approval, PlannedStage, PlannedTask, Resources, Retries
from turnout.core.rules import Verdict, every, reaches, takes_part

DEFAULT_TIMEOUT = 3600.0
INSTALLING_AGENTS = frozenset({"lint", "test"})
"""Agents that install a repository's dependencies, and so have a cache of them."""
CACHE_SWITCH = "TURNOUT_DEPENDENCY_CACHE"
"""In a stage's ``env``; ``off``: its agent installs the dependencies anew and keeps none."""

_Amount = TypeVar("_Amount", int, float)


def planned_stage(
    stage: StageConfig, needs: tuple[str, ...], config: PipelineConfig, project: ProjectConfig, change: Change
) -> PlannedStage:
    """``needs``: resolved, also for a stage that names none."""
    verdict = participation(stage, config, project, change)
    environment = stage_environment(stage, config.deploy_environment)
    retries, cut_retries = _retries(stage, config, project)
    timeout, cut_timeout = _timeout(stage, project)
    resources, cut_resources = _resources(stage, project)
    secrets, network, withheld = _trust(stage, project, change)
    approval, merged = approval_of(stage, environment, project)
    inputs, missing = _inputs(config, change)
    return PlannedStage(
        name=stage.name,
        agent=stage.agent,
        needs=needs,
        tasks=tuple(PlannedTask(id=task_id(stage.name, cell), cell=cell) for cell in stage.cells()),
        options=stage.options,
        skip="" if verdict.holds else verdict.reason,
        retries=retries,
        timeout=timeout,
        allow_failure=stage.allow_failure,
        fail_fast=stage.fail_fast,
        runtime=stage.runtime or project.runtime,
        resources=resources,
        network=network,
        env=_env(stage, project) | inputs,
        secrets=secrets,
        environment=environment,
        approval=approval,
        rollback=stage.name if stage.rollback is True else stage.rollback or "",
        attested=_asked_of_images(environment, project),
        rulings=verdict.rulings,
        notes=(
            *_unknown(stage, change, verdict),
            *cut_retries,
            *cut_timeout,
            *cut_resources,
            *withheld,
            *merged,
            *missing,
        ),
    )


def participation(
    stage: StageConfig, config: PipelineConfig, project: ProjectConfig, change: Change
) -> Verdict:
    """Whether the stage runs: the repository's rules first, then the operator's for its environment."""
    return every(
        (
            takes_part(stage.when, change, stage.environment or config.deploy_environment or ""),
            reaches(project, stage_environment(stage, config.deploy_environment), change),
        )
    )


def task_id(stage: str, cell: dict[str, str]) -> str:
    """``unit[python=3.11,os=linux]``; without a matrix the stage's name."""
    return f"{stage}[{','.join(f'{axis}={value}' for axis, value in cell.items())}]" if cell else stage


def approval_of(
    stage: StageConfig, environment: str, project: ProjectConfig
) -> tuple[Approval | None, tuple[str, ...]]:
    """The stage's own approval and its environment's in one; the stage cannot ask for less than the operator."""
    rules = project.environments.get(environment)
    wanted, floor = stage.approval, rules.approval if rules else None
    if floor is None or wanted is None:
        only = wanted or floor
        note = f"environment {environment} asks for approval"
        return (_approval(only) if only else None), ((note,) if floor else ())
    by = tuple(each for each in wanted.by if each in floor.by) or floor.by or wanted.by
    merged = Approval(
        required=max(wanted.required, floor.required), by=by, expires=min(wanted.expires, floor.expires)
    )
    if merged == _approval(wanted):
        return merged, ()
    return merged, (f"environment {environment} asks for more approval than the stage",)


def _asked_of_images(environment: str, project: ProjectConfig) -> tuple[str, ...]:
    rules = project.environments.get(environment)
    return rules.attested if rules else ()


def attested_before(stage: PlannedStage, stages: Mapping[str, PlannedStage]) -> PlannedStage:
    """The same stage, with the stages before it named where its environment asks for all of them. ``stages``: the whole
    plan's. Those that the change leaves out, or that may fail, are not asked for.
    """
    if not stage.attested:
        return stage
    before = _before(stage, stages)
    every = [f"{STAGE}{each.name}" for each in before if not each.skip and not each.allow_failure]
    named = [asked for asked in stage.attested if asked != EVERY_STAGE]
    asked = (
        (*named, *(each for each in every if each not in named))
        if EVERY_STAGE in stage.attested
        else tuple(named)
    )
    known = {each.agent for each in before} | {f"{STAGE}{each.name}" for each in before}
    notes = tuple(
        f"environment {stage.environment} asks for images attested by {each}, and nothing before this stage is"
        for each in named
        if each not in known
    )
    return stage.with_(attested=asked, notes=(*stage.notes, *notes))


def _before(stage: PlannedStage, stages: Mapping[str, PlannedStage]) -> list[PlannedStage]:
    """Every stage that it needs, directly or through others, in the plan's order."""
    found: set[str] = set()
    waiting = list(stage.needs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(stages[name].needs)
    return [each for each in stages.values() if each.name in found]


def fork_approval(own: Approval | None, forks: ForksConfig) -> Approval:
    """The gate before anything of a fork starts; a stage that has an approval of its own keeps it."""
    return own or Approval(by=forks.by)


def _approval(config: ApprovalConfig) -> Approval:
    return Approval(required=config.required, by=config.by, expires=config.expires)


def _env(stage: StageConfig, project: ProjectConfig) -> dict[str, str]:
    if stage.agent in INSTALLING_AGENTS and not project.cache.dependencies:
        return {**stage.env, CACHE_SWITCH: "off"}
    return stage.env


def _inputs(config: PipelineConfig, change: Change) -> tuple[dict[str, str], tuple[str, ...]]:
    """What came with a dispatch and is declared, as variables; they win over the stage's own, their defaults."""
    declared = config.on.dispatch.inputs if change.kind is ChangeKind.DISPATCH and config.on.dispatch else ()
    given = {input_variable(name): change.inputs[name] for name in declared if name in change.inputs}
    missing = tuple(
        f"the dispatch gave no text for its input {name}" for name in declared if name not in change.inputs
    )
    return given, missing


def _unknown(stage: StageConfig, change: Change, verdict: Verdict) -> Iterable[str]:
    if verdict.holds and stage.when and stage.when.paths and change.paths is None:
        yield "which files changed is not known, so `when.paths` holds"


def _trust(
    stage: StageConfig, project: ProjectConfig, change: Change
) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    """The stage's secrets and network, less what a fork doesn't get."""
    if not change.fork:
        return stage.secrets, stage.network, ()
    notes = [f"a fork gets no secrets: {', '.join(stage.secrets)}"] if stage.secrets else []
    network = stage.network and project.forks.network
    if stage.network and not network:
        notes.append("a fork gets no network: the project's `forks.network` is false")
    return (), network, tuple(notes)


def _retries(
    stage: StageConfig, config: PipelineConfig, project: ProjectConfig
) -> tuple[Retries, tuple[str, ...]]:
    own = stage.retries
    if own is not None:
        asked = Retries(max=own.max, backoff=own.backoff, factor=own.factor, on=own.on)
    else:
        asked = Retries(max=1 if config.retry_on_failure else 0)
    most, notes = _at_most(asked.max, project.limits.retries_max, "retries_max", str)
    return asked.with_(max=most), notes


def _timeout(stage: StageConfig, project: ProjectConfig) -> tuple[float, tuple[str, ...]]:
    limit = project.limits.timeout_max
    if stage.timeout is None:
        return min(DEFAULT_TIMEOUT, limit or DEFAULT_TIMEOUT), ()
    return _at_most(stage.timeout, limit, "timeout_max", format_duration)


def _resources(stage: StageConfig, project: ProjectConfig) -> tuple[Resources, tuple[str, ...]]:
    asked, limits = stage.resources, project.limits
    cpu, cut_cpu = _at_most(asked.cpu or limits.cpu or 0.0, limits.cpu or None, "cpu", "{:g}".format)
    memory, cut_memory = _at_most(
        asked.memory or limits.memory or 0, limits.memory or None, "memory", format_size
    )
    return Resources(cpu=cpu, memory=memory), (*cut_cpu, *cut_memory)


def _at_most(
    asked: _Amount, limit: _Amount | None, name: str, show: Callable[[_Amount], str]
) -> tuple[_Amount, tuple[str, ...]]:
    """``asked``, cut to ``limit``, with a note where that takes something away."""
    if limit is None or asked <= limit:
        return asked, ()
    return limit, (f"{show(asked)} was asked for, the project's `limits.{name}` is {show(limit)}",)
