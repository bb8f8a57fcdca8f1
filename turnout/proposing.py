"""The use case that looks at the pipeline file of a pull request beside that of its base, without running any of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from turnout.core.change import Change
from turnout.core.config import PipelineConfig, ProjectConfig
from turnout.core.errors import InvalidConfig, PermanentError
from turnout.core.model import ChangeKind
from turnout.core.ports import Source
from turnout.core.proposal import Proposal
from turnout.core.propose import propose
from turnout.core.simulation import Simulation

REPLAYED = 20
"""Recorded changes that the new file is tried on."""
SECONDS = 2.0
"""How long that may hold up its run."""
SHOWN = 8
"""Differences of their sum that are shown."""

_File = tuple[str, str] | None
"""Name and text; None: there is none."""


@dataclass(frozen=True)
class Proposing:
    """``parse`` is text and file name to config (Raises: InvalidConfig). ``replay``: the project, the old and the new
    text, the file's name, whether a stranger wrote it.
    """

    source: Source
    parse: Callable[[str, str, ProjectConfig], PipelineConfig]
    replay: Callable[[str, str | None, str, str, bool], Simulation]

    def __call__(self, change: Change, project: ProjectConfig, names: Sequence[str]) -> Proposal | None:
        """None: it is no pull request, or leaves the file as it is. Raises: TransientError."""
        if change.kind is not ChangeKind.PULL_REQUEST or not change.before:
            return None
        try:
            old = self._read(change.with_(config_sha=change.before), names)
            new = self._read(change.with_(config_sha=""), names)
            if (old and old[1]) == (new and new[1]) or not self._touched(change, names):
                return None
        except PermanentError:
            return None  # a commit that is gone, or no text
        return self._compared(old, new, project, change)

    def _compared(self, old: _File, new: _File, project: ProjectConfig, change: Change) -> Proposal | None:
        name = (new or old or ("", ""))[0]
        try:
            before = self.parse(old[1], old[0], project) if old else None
        except InvalidConfig:
            before, old = None, None
        try:
            after = self.parse(new[1], new[0], project) if new else None
        except InvalidConfig as error:
            return Proposal(file=name, problem="\n".join(str(each) for each in error.problems[:5]))
        found = propose(name, before, after, project, change)
        if new is None:
            return found if found.differs else None
        tried = self.replay(project.repository, old[1] if old else None, new[1], name, change.fork)
        found = found.with_(
            replayed=tried.markdown(SHOWN),
            looked=len(tried.changes),
            differing=len(tried.differing),
            weaker=sum(bool(each.difference.weaker) for each in tried.changes),
        )
        return found if found.differs else None

    def _touched(self, change: Change, names: Sequence[str]) -> bool:
        """Whether the pull request itself changes the file, and not only its base since; not known: it counts as so."""
        paths = change.paths if change.paths is not None else self.source.changed_paths(change)
        return paths is None or not set(names).isdisjoint(paths)

    def _read(self, change: Change, names: Sequence[str]) -> _File:
        for name in names:
            text = self.source.read(change, name)
            if text is not None:
                return name, text
        return None
