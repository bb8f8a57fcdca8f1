"""What no single field can tell: names, edges and rules of a pipeline that don't fit together.

The stages are looked at as they stand in the file, not as models, so that a stage with a wrong field still counts
for the others and all problems come at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from turnout.core.config_pipeline import MAX_STAGES, MAX_TASKS
from turnout.core.config_problems import problem, quote
from turnout.core.config_project import ProjectConfig
from turnout.core.config_stage import StageConfig, stage_environment, stage_long_form
from turnout.core.config_triggers import DEFAULT_TRIGGERS, On, Triggers
from turnout.core.config_types import nearest
from turnout.core.document import Document, Path
from turnout.core.errors import Problem
from turnout.core.graph import cycles, order

STAGES: Path = ("pipeline", "stages")
_ON: TypeAdapter[Triggers] = TypeAdapter(On)


@dataclass(frozen=True, slots=True)
class Sketch:
    """A stage as far as it can be read. ``config`` is None when a field of it is wrong.

    ``given``: the needs that the file names, None: none; ``needs``: those it comes to. ``bare``: it is a single word.
    """

    path: Path
    name: str
    agent: str
    given: tuple[str, ...] | None
    needs: tuple[str, ...]
    bare: bool
    config: StageConfig | None


def sketch(tree: Any) -> tuple[Sketch, ...]:
    """The stages of a pipeline's plain tree, in the order of the file; what is no stage at all is left out."""
    steps = tree.get("stages") if isinstance(tree, dict) else None
    found: list[Sketch] = []
    before: tuple[str, ...] = ()
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        path: Path = (*STAGES, index)
        inside = (
            [((*path, i), each) for i, each in enumerate(step)] if isinstance(step, list) else [(path, step)]
        )
        group = [each for where, stage in inside if (each := _sketch(where, stage, before))]
        found += group
        before = tuple(dict.fromkeys(each.name for each in group)) or before
    return tuple(found)


def _sketch(path: Path, raw: Any, before: tuple[str, ...]) -> Sketch | None:
    stage = stage_long_form(raw)
    if not isinstance(stage, dict) or not isinstance(stage.get("name"), str):
        return None
    needs = [stage["needs"]] if isinstance(stage.get("needs"), str) else stage.get("needs")
    given = tuple(each for each in needs if isinstance(each, str)) if isinstance(needs, list) else None
    try:
        config = StageConfig.model_validate(stage)
    except ValidationError:
        config = None
    agent = stage.get("agent")
    return Sketch(
        path=path,
        name=stage["name"],
        agent=agent if isinstance(agent, str) else "",
        given=given,
        needs=before if given is None else given,
        bare=isinstance(raw, str),
        config=config,
    )


def check(
    document: Document, tree: Any, agents: Collection[str], project: ProjectConfig | None
) -> Iterator[Problem]:
    """Every problem between the parts of a pipeline. ``tree``: what stands below ``pipeline``."""
    stages = sketch(tree)
    if len(stages) > MAX_STAGES:
        message = f"the pipeline has {len(stages):,} stages, at most {MAX_STAGES} are allowed"
        yield problem(document, STAGES, message)
        return
    yield from _agents(document, stages, agents)
    yield from _names(document, stages)
    yield from _needs(document, stages)
    yield from _cycles(document, stages)
    yield from _size(document, stages)
    yield from _rollbacks(document, stages)
    yield from _events(document, stages, tree)
    if project is not None:
        yield from _environments(document, stages, tree, project)
        yield from _secrets(document, stages, tree, project)


def _agents(document: Document, stages: Sequence[Sketch], agents: Collection[str]) -> Iterator[Problem]:
    known = f"there are {', '.join(agents)}"
    for stage in stages:
        if not stage.agent or stage.agent in agents:
            continue
        path = (*stage.path, "agent")
        if stage.bare or document.node(path) is not None:
            hint = nearest(stage.agent, agents) or known
            yield problem(
                document, stage.path if stage.bare else path, f"unknown agent `{quote(stage.agent)}`", hint
            )
        else:
            message = f"stage `{quote(stage.name)}` names no agent, and there is none of its own name"
            yield problem(document, stage.path, message, f"say which does it, like `agent: test`; {known}")


def _names(document: Document, stages: Sequence[Sketch]) -> Iterator[Problem]:
    first: dict[str, Sketch] = {}
    for stage in stages:
        other = first.setdefault(stage.name, stage)
        if other is stage:
            continue
        line = document.place(other.path).line
        if stage.bare:
            message = f"a stage called `{quote(stage.name)}` is in line {line} already"
            hint = f"give this one a name: `{{name: {stage.name}-2, agent: {stage.agent}}}`"
            yield problem(document, stage.path, message, hint)
        else:
            path = (*stage.path, "name" if document.node((*stage.path, "name")) else "agent")
            message = f"the name `{quote(stage.name)}` is taken by the stage in line {line}"
            yield problem(
                document, path, message, "names are unique in a pipeline: give this stage another `name`"
            )


def _needs(document: Document, stages: Sequence[Sketch]) -> Iterator[Problem]:
    names = {stage.name for stage in stages}
    for stage in stages:
        for index, need in enumerate(stage.given or ()):
            path = document.existing((*stage.path, "needs", index))
            if need == stage.name:
                yield problem(document, path, "a stage cannot need itself", "remove it from `needs`")
            elif need not in names:
                hint = nearest(need, names - {stage.name}) or f"there are {', '.join(sorted(names))}"
                yield problem(document, path, f"no stage is called `{quote(need)}`", hint)


def _cycles(document: Document, stages: Sequence[Sketch]) -> Iterator[Problem]:
    by_name: dict[str, Sketch] = {}
    for stage in stages:
        by_name.setdefault(stage.name, stage)
    needs = {name: [need for need in each.needs if need != name] for name, each in by_name.items()}
    round_about = cycles(needs)
    for cycle in round_about:
        way = " needs ".join(f"`{quote(name)}`" for name in (*cycle, cycle[0]))
        explicit = next(
            (by_name[name] for name in cycle if by_name[name].given is not None), by_name[cycle[0]]
        )
        implicit = [name for name in cycle if by_name[name].given is None]
        hint = "take one of these needs away"
        if implicit:
            hint += f"; `{implicit[0]}` names no needs, so it comes after what is above it"
        yield problem(document, (*explicit.path, "needs"), f"these stages wait for each other: {way}", hint)
    on_cycle = {name for cycle in round_about for name in cycle}
    reached = {*order(needs), *on_cycle}
    for name, stage in by_name.items():
        if name not in reached:
            behind = next(
                need for need in needs[name] if need in needs and (need not in reached or need in on_cycle)
            )
            message = (
                f"stage `{quote(name)}` can never start: it needs `{quote(behind)}`, which waits for itself"
            )
            yield problem(document, stage.path, message, "resolve the cycle")


def _size(document: Document, stages: Sequence[Sketch]) -> Iterator[Problem]:
    tasks = sum(len(stage.config.cells()) for stage in stages if stage.config is not None)
    if tasks > MAX_TASKS:
        yield problem(
            document, STAGES, f"the pipeline has {tasks:,} tasks, at most {MAX_TASKS:,} are allowed"
        )


def _rollbacks(document: Document, stages: Sequence[Sketch]) -> Iterator[Problem]:
    by_name = {stage.name: stage for stage in stages}
    deploys = [stage.name for stage in stages if stage.agent == "deploy"]
    for stage in stages:
        wanted = stage.config.rollback if stage.config else False
        path = (*stage.path, "rollback")
        if wanted is True and stage.agent != "deploy":
            hint = f"name the stage: `rollback: {deploys[0] if deploys else 'deploy'}`"
            yield problem(document, path, "only a deploy stage can roll back itself", hint)
        elif isinstance(wanted, str) and wanted not in deploys:
            hint = nearest(wanted, deploys) or (f"there are {', '.join(deploys)}" if deploys else "")
            yield problem(document, path, f"no deploy stage is called `{quote(wanted)}`", hint)
        elif isinstance(wanted, str) and wanted not in (stage.name, *_upstream(by_name, stage)):
            hint = f"add it to the `needs` of `{stage.name}`"
            yield problem(document, path, f"`{wanted}` does not come before this stage", hint)


def _upstream(by_name: Mapping[str, Sketch], stage: Sketch) -> set[str]:
    found: set[str] = set()
    left = list(stage.needs)
    while left:
        name = left.pop()
        if name not in found and name in by_name:
            found.add(name)
            left.extend(by_name[name].needs)
    return found


def _events(document: Document, stages: Sequence[Sketch], tree: Any) -> Iterator[Problem]:
    try:
        triggers = (
            _ON.validate_python(tree["on"]) if isinstance(tree, dict) and "on" in tree else DEFAULT_TRIGGERS
        )
    except ValidationError:
        return
    started_by = ", ".join(triggers.events)
    if not started_by:
        yield problem(
            document, ("pipeline", "on"), "no event starts this pipeline", "name one, like `push: {}`"
        )
        return
    for stage in stages:
        events = stage.config.when.event if stage.config and stage.config.when else ()
        if events and not set(events) & set(triggers.events):
            message = f"stage `{stage.name}` can never run: `on` has none of its events"
            path = (*stage.path, "when", "event")
            yield problem(document, path, message, f"the pipeline is started by {started_by}")


def _environments(
    document: Document, stages: Sequence[Sketch], tree: Any, project: ProjectConfig
) -> Iterator[Problem]:
    if not project.environments:
        return
    named: list[tuple[Path, Any]] = [
        ((*each.path, "environment"), each.config.environment) for each in stages if each.config
    ]
    named.append((("pipeline", "deploy_environment"), _deploy_environment(tree)))
    for path, name in named:
        if name and name not in project.environments:
            hint = nearest(name, project.environments) or f"there are {', '.join(project.environments)}"
            yield problem(document, path, f"the project has no environment `{quote(name)}`", hint)


def _secrets(
    document: Document, stages: Sequence[Sketch], tree: Any, project: ProjectConfig
) -> Iterator[Problem]:
    for stage in stages:
        if stage.config is None:
            continue
        environment = stage_environment(stage.config, _deploy_environment(tree))
        bound = project.bound_secrets(environment)
        for index, name in enumerate(stage.config.secrets):
            if name not in bound:
                path = document.existing((*stage.path, "secrets", index))
                where = f" for environment {environment}" if environment else ""
                hint = (
                    nearest(name, bound)
                    or f"bind it in the project's file: `secrets: {{{name}: {{env: {name}}}}}`"
                )
                yield problem(document, path, f"the project binds no secret `{name}`{where}", hint)


def _deploy_environment(tree: Any) -> str | None:
    found = tree.get("deploy_environment") if isinstance(tree, dict) else None
    return found if isinstance(found, str) else None
