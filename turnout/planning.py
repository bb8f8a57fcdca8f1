"""The use case that turns a request into a plan: find the project, read its pipeline file at the commit, plan it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.config import PipelineConfig, ProjectConfig, needs_paths
from turnout.core.errors import InvalidConfig, NotFound, Problem
from turnout.core.planner import plan
from turnout.core.ports import Source
from turnout.orchestration import Planned


class Projects(Protocol):
    def find(self, repository: str) -> ProjectConfig | None:
        """The project that serves ``owner/name``. Raises: InvalidConfig when its file is broken."""
        ...


@dataclass(frozen=True)
class RepositoryPlanner:
    """Reads files through `Source`; ``parse`` is text and file name to config (Raises: InvalidConfig)."""

    projects: Projects
    source: Source
    parse: Callable[[str, str, ProjectConfig], PipelineConfig]

    def __call__(self, request: m.RunRequested) -> Planned:
        """Raises: TransientError (the remote is away), InvalidConfig (the file), NotFound (nobody serves it)."""
        change = request.change
        project = self.projects.find(change.repository)
        if project is None and request.delivery:
            raise NotFound(f"no project serves {change.repository}", "add a project file for it")
        if project is None:
            project = ProjectConfig(repository=change.repository)
        change = located(change, project)
        wanted = (request.pipeline_file,) if request.pipeline_file else project.pipeline_files
        name, text = self._read(change, wanted)
        config = self.parse(text, name, project)
        if change.paths is None and needs_paths(config):
            change = change.with_(paths=self.source.changed_paths(change))
        return Planned(project.repository, plan(config, project, change), change)

    def _read(self, change: Change, names: Sequence[str]) -> tuple[str, str]:
        for name in names:
            text = self.source.read(change, name)
            if text is not None:
                return name, text
        sha = (change.config_sha or change.sha)[:12]
        raise InvalidConfig(
            [Problem(names[0], 0, 0, "", f"there is no such file at {sha}", f"add {' or '.join(names)}")]
        )


def located(change: Change, project: ProjectConfig) -> Change:
    """The change with the address that the operator gives for the repository, if any."""
    return change.with_(clone_url=project.clone_url) if project.clone_url else change
