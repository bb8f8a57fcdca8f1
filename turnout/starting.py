"""The use case of a run that nobody's push asked for: the newest commit of a project's branch, as a manual change."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from turnout.core.change import Change
from turnout.core.config_project import ProjectConfig
from turnout.core.errors import NotFound, PermanentError
from turnout.core.model import ChangeKind
from turnout.core.ports import RunFilter, Store

_BRANCH = re.compile(r"(?![-/.])(?!.*(\.\.|//|@\{))[\w.+@#=/-]{1,200}(?<![/.])")
"""Narrower than git: no character that a shell or a refspec takes for more than itself."""


class Projects(Protocol):
    def find(self, repository: str) -> ProjectConfig | None:
        """Raises: InvalidConfig."""
        ...


@dataclass(frozen=True)
class Starting:
    """``tip``: project, clone URL, branch → the commit that the branch is at now."""

    store: Store
    projects: Projects
    tip: Callable[[str, str, str], str]

    def change(self, project: str, branch: str, by: str) -> Change:
        """``branch`` empty: the project's default one.

        Raises: NotFound (nothing serves the project), PermanentError (the branch), TransientError (the remote is away).
        """
        served = self.projects.find(project)
        if served is None:
            raise NotFound(f"no project {project!r}", "add a project file for it")
        asked = self.newest(served, branch, ChangeKind.MANUAL)
        return asked.with_(author=by, title=f"started by {by}")

    def newest(self, served: ProjectConfig, branch: str, kind: ChangeKind) -> Change:
        """As `change`, of a project that is known."""
        branch = branch or served.branches.default
        if not _BRANCH.fullmatch(branch):
            raise PermanentError(f"{branch!r} is no name of a branch", "give it without refs/heads/")
        clone_url = served.clone_url or self._last_address(served)
        sha = self.tip(served.repository, clone_url, branch)
        return Change(
            kind=kind,
            repository=served.repository,
            clone_url=clone_url,
            ref=f"refs/heads/{branch}",
            sha=sha,
            branch=branch,
        )

    def _last_address(self, project: ProjectConfig) -> str:
        """Where the newest run of the project came from; GitHub where there was none."""
        for row in self.store.runs(RunFilter(project=project.repository), limit=1):
            run = self.store.load(row.id)
            if run is not None and run.change.clone_url:
                return run.change.clone_url
        if project.provider.kind == "git" or project.provider.base_url:
            raise PermanentError(
                f"it is not known where {project.repository} is cloned from",
                "set clone_url in its project file",
            )
        return f"https://github.com/{project.repository}.git"
