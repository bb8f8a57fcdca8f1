"""The two configuration files, from a `Document` to a model, or to all that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from turnout.core.config_check import check
from turnout.core.config_pipeline import TAGS, PipelineConfig, PipelineFile, needs_paths
from turnout.core.config_problems import MAX_PROBLEMS, describe, nulls, problem, translate
from turnout.core.config_project import ProjectConfig, ProjectFile
from turnout.core.document import Document, Path
from turnout.core.errors import InvalidConfig, Problem
from turnout.core.topics import AGENT_KINDS

__all__ = ["PipelineConfig", "ProjectConfig", "needs_paths", "parse_pipeline", "parse_project"]

_File = TypeVar("_File", bound=BaseModel)


def parse_pipeline(
    document: Document, *, agents: Collection[str] = AGENT_KINDS, project: ProjectConfig | None = None
) -> PipelineConfig:
    """The pipeline config in ``document``.

    ``agents``: the kinds that a stage may name. ``project``: what secrets and environments are checked against;
    None, or made from nothing but a name: they aren't. Raises: InvalidConfig with every problem in the file.
    """
    tree = _root(document, "pipeline", "stages")
    found, problems = _validate(document, tree, PipelineFile, _may_be_empty_in_pipeline)
    known = project if project is not None and project.stated else None
    problems += islice(check(document, tree["pipeline"], agents, known), MAX_PROBLEMS)
    if found is None or problems:
        raise InvalidConfig(_tidy(problems))
    return found.pipeline


def parse_project(document: Document) -> ProjectConfig:
    """The project config in ``document``. Raises: InvalidConfig with every problem in the file."""
    tree = _root(document, "project", "repository")
    found, problems = _validate(document, tree, ProjectFile, _may_be_empty_in_project)
    if found is None or problems:
        raise InvalidConfig(_tidy(problems))
    return found.project


def _root(document: Document, key: str, child: str) -> dict[str, Any]:
    """The file's mapping, without the keys that are left alone."""
    tree = document.tree
    example = f"begin with `{key}:`"
    if tree is None:
        raise InvalidConfig([problem(document, (), "the file is empty", example)])
    if not isinstance(tree, dict):
        raise InvalidConfig([problem(document, (), f"got {describe(tree)}, expected a mapping", example)])
    kept = {name: value for name, value in tree.items() if not name.startswith("x-")}
    if key not in kept and child in kept:
        hint = f"put it, and what is beside it, under `{key}:`"
        raise InvalidConfig(
            [problem(document, (child,), f"`{child}` stands outside of `{key}`", hint, key=True)]
        )
    if kept.get(key) is None and not set(kept) - {key}:
        hint = f"it needs `{child}` at least"
        raise InvalidConfig([problem(document, (key,), f"`{key}` is missing or empty", hint)])
    return {key: None} | kept


def _validate(
    document: Document, tree: dict[str, Any], model: type[_File], may_be_empty: Callable[[Path], bool]
) -> tuple[_File | None, list[Problem]]:
    problems = list(islice(nulls(document, tree, may_be_empty), MAX_PROBLEMS))
    try:
        return model.model_validate(tree), problems
    except ValidationError as error:
        return None, [*problems, *translate(error, document, model, TAGS)]


def _may_be_empty_in_pipeline(path: Path) -> bool:
    """``push:`` alone names the event; options are the agent's own matter."""
    return (path[:2] == ("pipeline", "on") and len(path) == 3) or "with" in path


def _may_be_empty_in_project(path: Path) -> bool:
    """``staging:`` alone names an environment without rules."""
    return path[:2] == ("project", "environments") and len(path) == 3


def _tidy(problems: list[Problem]) -> list[Problem]:
    """Each problem once, and of very many the first."""
    return list(dict.fromkeys(problems))[:MAX_PROBLEMS]
