"""The use case that turns a request into a plan: find the project, read its pipeline file at the commit, plan it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.comparing import recordable
from turnout.core.config import PipelineConfig, ProjectConfig, needs_paths
from turnout.core.errors import InvalidConfig, PermanentError, Problem, TransientError
from turnout.core.model import ChangeKind
from turnout.core.nothing import no_commit, no_project
from turnout.core.plan import NotTriggered, Plan
from turnout.core.planner import plan
from turnout.core.ports import Source
from turnout.core.proposal import Proposal
from turnout.orchestration import BrokenFile, NoProject, Planned

MOST = 128
"""Pipeline files that a process remembers, and parsed ones."""
FULL = (40, 64)
"""Digits of a commit id; anything shorter may come to mean another commit."""

V = TypeVar("V")


class Projects(Protocol):
    def find(self, repository: str) -> ProjectConfig | None:
        """The project that serves ``owner/name``. Raises: InvalidConfig when its file is broken."""
        ...


class Known(Generic[V]):
    """What never changes once it is known, the least recently used forgotten first. Threads may share it."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, V] = OrderedDict()

    def find(self, key: Hashable) -> V | None:
        found = self._kept.get(key)
        if found is not None:
            self.keep(key, found)
        return found

    def keep(self, key: Hashable, value: V) -> V:
        self._kept.pop(key, None)
        self._kept[key] = value
        while len(self._kept) > self._most:
            try:
                self._kept.popitem(last=False)
            except KeyError:
                break  # other threads have made room
        return value


@dataclass(frozen=True)
class RepositoryPlanner:
    """Reads files through `Source`; ``parse`` is text and file name to config (Raises: InvalidConfig).

    ``proposing``: what a pull request would change of the pipeline file. A file of a commit is read once, and a text is
    parsed once for a project as it is: neither ever changes.
    """

    projects: Projects
    source: Source
    parse: Callable[[str, str, ProjectConfig], PipelineConfig]
    proposing: Callable[[Change, ProjectConfig, Sequence[str]], Proposal | None] = lambda *_: None
    _read_before: Known[tuple[str, str]] = field(default_factory=Known, init=False, compare=False)
    _parsed_before: Known[tuple[ProjectConfig, PipelineConfig]] = field(
        default_factory=Known, init=False, compare=False
    )

    def __call__(self, request: m.RunRequested) -> Planned:
        """Raises: TransientError (the remote is away), BrokenFile, NoProject, InvalidConfig (the operator's file)."""
        change = request.change
        project = self.projects.find(change.repository)
        if project is None and request.delivery:
            raise NoProject(no_project(change.repository))
        if project is None:
            project = ProjectConfig(repository=change.repository)
        change = located(change, project)
        if not change.sha:
            try:
                change = change.with_(sha=self.source.head(change))
            except PermanentError as error:
                return Planned(project.repository, NotTriggered.of(no_commit(change.ref, str(error))), change)
        wanted = (request.pipeline_file,) if request.pipeline_file else project.pipeline_files
        try:
            name, text = self._read(change, wanted)
            config = self._parsed(text, name, project)
            change = declared(change, config)
            if change.paths is None and needs_paths(config):
                change = change.with_(paths=self.source.changed_paths(change))
            made = plan(config, project, change)
        except InvalidConfig as error:
            raise BrokenFile(error.problems, change) from error
        change = self._with_files(change)
        proposal = self.proposing(change, project, wanted) if isinstance(made, Plan) else None
        return Planned(project.repository, made, change.with_(paths=recordable(change.paths)), proposal)

    def config(self, change: Change, project: ProjectConfig) -> PipelineConfig:
        """The pipeline file at this commit. Raises: TransientError, PermanentError, InvalidConfig."""
        name, text = self._read(change, project.pipeline_files)
        return self._parsed(text, name, project)

    def _with_files(self, change: Change) -> Change:
        """With the files of a pull request, which GitHub does not send along, also where no rule of today asks for
        them: another pipeline file is tried on them later. Where they can't be had it goes on without."""
        if change.kind is not ChangeKind.PULL_REQUEST or not change.before or change.paths is not None:
            return change
        try:
            return change.with_(paths=self.source.changed_paths(change))
        except (PermanentError, TransientError):
            return change

    def _parsed(self, text: str, name: str, project: ProjectConfig) -> PipelineConfig:
        known = self._parsed_before.find((name, text))
        if known is not None and known[0] == project:
            return known[1]
        return self._parsed_before.keep((name, text), (project, self.parse(text, name, project)))[1]

    def _read(self, change: Change, names: Sequence[str]) -> tuple[str, str]:
        sha = change.config_sha or change.sha
        place = (change.clone_url, sha, *names)
        known = self._read_before.find(place)
        if known is not None:
            return known
        for name in names:
            text = self.source.read(change, name)
            if text is not None:
                found = (name, text)
                return self._read_before.keep(place, found) if len(sha) in FULL else found
        raise InvalidConfig(
            [Problem(names[0], 0, 0, "", f"there is no such file at {sha[:12]}", f"add {' or '.join(names)}")]
        )


def declared(change: Change, config: PipelineConfig) -> Change:
    """The change with those of its inputs that the pipeline file names; the others are not its business."""
    if not change.inputs:
        return change
    names = config.on.dispatch.inputs if config.on.dispatch else ()
    return change.with_(inputs={name: text for name, text in change.inputs.items() if name in names})


def located(change: Change, project: ProjectConfig) -> Change:
    """The change with the address that the operator gives for the repository, if any."""
    return change.with_(clone_url=project.clone_url) if project.clone_url else change
