"""The use case that tries a pipeline file on what has happened: recorded changes through the old and the new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from turnout.core.change import Change
from turnout.core.comparing import base_of
from turnout.core.config import PipelineConfig, ProjectConfig, needs_paths
from turnout.core.errors import InvalidConfig, PermanentError, TransientError
from turnout.core.plan import NotTriggered, Plan
from turnout.core.planner import plan
from turnout.core.ports import Clock, Source
from turnout.core.ports.recorded import RecordedChange, RecordedChanges
from turnout.core.simulation import Simulated, Simulation
from turnout.planning import Projects, declared, located

MOST = 500
"""Changes of one simulation."""
MOST_ASKED = 20
"""Changes whose files are asked for at the repository, which may mean a fetch each."""
SECONDS = 20.0
"""One change takes a few milliseconds, or a second at worst."""


@dataclass(frozen=True)
class Simulating:
    """``parse`` is text and file name to config (Raises: InvalidConfig). ``source`` None: nobody is asked for files.

    ``seconds``: how long one simulation may go on to the next change.
    """

    recorded: RecordedChanges
    projects: Projects
    parse: Callable[[str, str, ProjectConfig], PipelineConfig]
    clock: Clock
    source: Source | None = None
    seconds: float = SECONDS

    def __call__(
        self, project: str, old: str | None, new: str, *, last: int = 50, file: str = "pipeline.yml"
    ) -> Simulation:
        """``old``, ``new``: the files' texts; ``old`` None: there was none. ``last``: how many changes, at most `MOST`.

        Raises: InvalidConfig for what is wrong with the new file, or the operator's own; TransientError.
        """
        if not 1 <= last <= MOST:
            raise PermanentError(f"{last} changes are asked for", f"ask for 1 to {MOST}")
        rules = self.projects.find(project) or ProjectConfig(repository=project)
        config = self.parse(new, file, rules)
        before, problem = self._old(old, file, rules)
        changes = self.recorded.newest(rules.repository, last)
        asks = needs_paths(config) or (before is not None and needs_paths(before))
        until = self.clock.now().timestamp() + self.seconds
        found: list[Simulated] = []
        for each, change in self._known(changes, rules, asks=asks):
            if self.clock.now().timestamp() > until:
                break
            planned = _planned(before, rules, change, problem), _planned(config, rules, change, "")
            known = change.paths is not None or not asks or base_of(change) is None
            found.append(
                Simulated.of(each.at, change, *planned, run=each.run, delivery=each.delivery, known=known)
            )
        return Simulation(
            project=rules.repository,
            changes=tuple(found),
            left=len(changes) - len(found),
            problem=problem if old is not None else "",
        )

    def _old(self, text: str | None, file: str, rules: ProjectConfig) -> tuple[PipelineConfig | None, str]:
        if text is None:
            return None, "there is no pipeline file"
        try:
            return self.parse(text, file, rules), ""
        except InvalidConfig as error:
            return None, str(error.problems[0])

    def _known(
        self, changes: Sequence[RecordedChange], rules: ProjectConfig, *, asks: bool
    ) -> Iterator[tuple[RecordedChange, Change]]:
        """With the files that changed, where they are asked for and can be known."""
        left = MOST_ASKED
        for each in changes:
            change = located(each.change, rules)
            wanted = asks and change.paths is None and base_of(change) is not None
            if wanted and left and self.source is not None:
                left -= 1
                change = change.with_(paths=_paths(self.source, change))
            yield each, change


def _paths(source: Source, change: Change) -> tuple[str, ...] | None:
    """None where the repository can't be asked, or does not know any more."""
    try:
        return source.changed_paths(change)
    except (PermanentError, TransientError):
        return None


def _planned(
    config: PipelineConfig | None, rules: ProjectConfig, change: Change, problem: str
) -> Plan | NotTriggered:
    if config is None:
        return NotTriggered(reason=problem)
    return plan(config, rules, declared(change, config))
