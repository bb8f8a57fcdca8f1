"""What can be read of the system, for pages, REST API and command line alike. Reads only; answers frozen values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

from turnout.core.account import Account
from turnout.core.artifact_keys import attempt_key
from turnout.core.attestation import Attestation
from turnout.core.causes import Cause, causes
from turnout.core.dead_letters import DeadLetter
from turnout.core.dsse import Signed
from turnout.core.errors import NotFound, PermanentError
from turnout.core.explain import explain
from turnout.core.figures import ProjectFigures
from turnout.core.ports import AttemptRow, Bus, Clock, Delivery, RunFilter, RunRow, Store, StoredEvent
from turnout.core.ports.artifacts import Reading
from turnout.core.ports.deliveries import Deliveries
from turnout.core.ports.store import ANY_RUN
from turnout.core.replay import rebuild
from turnout.core.result import Artifact
from turnout.core.run import Attempt, Run, Task
from turnout.core.tally import StageEnd
from turnout.figuring import Figuring
from turnout.redriving import dead_letters

T = TypeVar("T")

MOST = 200
"""Rows of one page at most."""
LOG_PART = 1 << 20
"""Bytes of a log that are read at once, where nobody says how many."""
MOST_LEASES = 500
_COMMIT = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """``next``: the cursor of the page after this one; empty: this is the last."""

    items: tuple[T, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class LogPart:
    """``start``: where ``content`` begins; ``size``: bytes that there are now; ``ended``: there will be no more."""

    content: bytes
    start: int
    size: int
    ended: bool

    @property
    def next(self) -> int:
        return self.start + len(self.content)


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """An attempt and the bytes that its log has now. ``ended``: there will be no more."""

    stage: str
    task: str
    attempt: int
    size: int
    ended: bool


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """``runs``: how many there have been; ``last``: the newest."""

    name: str
    runs: int
    last: RunRow | None


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file that an attempt left behind."""

    stage: str
    task: str
    attempt: int
    artifact: Artifact


@dataclass(frozen=True, slots=True)
class Lag:
    """``behind``: records of the partition that ``group`` has not done yet."""

    group: str
    topic: str
    partition: int
    behind: int


@dataclass(frozen=True, slots=True)
class Broker:
    """``leases``: attempts that have not ended, by run and id, at most `MOST_LEASES`."""

    lags: tuple[Lag, ...]
    leases: tuple[AttemptRow, ...]
    letters: tuple[DeadLetter, ...]


@dataclass(frozen=True)
class Looking:
    """``bus``: asked only where something of it is wanted. ``groups``: consumer group to the topics it reads.

    ``ledger``: the account of all rows by what the store knows; GitHub is not asked.
    """

    store: Store
    artifacts: Reading
    bus: Callable[[], Bus]
    groups: Mapping[str, Sequence[str]]
    clock: Clock
    figuring: Figuring
    known: Deliveries
    ledger: Callable[[], Account]

    # runs
    def runs(self, wanted: RunFilter = ANY_RUN, *, cursor: str = "", limit: int = 50) -> Page[RunRow]:
        """Newest first."""
        most = max(1, min(limit, MOST))
        rows = self.store.runs(wanted, limit=most + 1, before=cursor)
        return Page(tuple(rows[:most]), rows[most - 1].id if len(rows) > most else "")

    def named(self, given: str) -> Sequence[RunRow]:
        """Those that a person may mean: by id, the beginning of one, number (``12``, ``owner/name#12``), ``latest``."""
        return self.store.find_runs(given)

    def run(self, given: str, sees: Callable[[str], bool] = lambda _: True) -> Run:
        """The one that `named` finds among the projects that somebody ``sees``; of no other one anything is told.

        Raises: NotFound; PermanentError when there are several.
        """
        found = [row for row in self.named(given) if sees(row.project)]
        if given == "latest" and not found:
            found = [row for row in self.store.runs(limit=MOST) if sees(row.project)][:1]
        if len(found) > 1:
            some = ", ".join(row.id[:12] for row in found[:4])
            raise PermanentError(f"several runs begin with {given!r}: {some}", "give more of the id")
        run = self.store.load(found[0].id) if found else None
        if run is None:
            raise NotFound(f"no run {given!r}", "`turnout runs` lists them")
        return run

    def events(self, run: str, after: int = 0) -> Sequence[StoredEvent]:
        """Of a run's full id, those with a version greater than ``after``."""
        return self.store.events(run, after=after)

    def at(self, run: str, version: int) -> Run:
        """The run as it was after its first ``version`` events. Raises: NotFound."""
        return rebuild([stored.event for stored in self.events(self.run(run).id)], version)

    def explain(self, run: str, stage: str = "") -> tuple[str, ...]:
        """Why, in sentences. Raises: NotFound."""
        state = self._with_stage(run, stage)
        return explain([stored.event for stored in self.events(state.id)], stage)

    def why(self, run: str, stage: str = "") -> tuple[Cause, ...]:
        """Event by event: the rule that decided, what it saw, what would flip it. Raises: NotFound."""
        state = self._with_stage(run, stage)
        return causes([stored.event for stored in self.events(state.id)], stage)

    def attestations(self, run: str, stage: str = "") -> tuple[Attestation, ...]:
        """Raises: NotFound."""
        state = self._with_stage(run, stage)
        wanted = {
            attempt.id
            for each, task in state.tasks()
            if stage in ("", each.name)
            for attempt in task.attempts
        }
        return tuple(each for each in self.store.attestations(state.id) if each.attempt in wanted)

    def signed(self, run: str, stage: str = "") -> tuple[Signed, ...]:
        """The same as envelopes. Raises: NotFound."""
        return tuple(each.signed() for each in self.attestations(run, stage))

    # what attempts leave behind
    def logs(self, run: str, stage: str = "") -> tuple[AttemptLog, ...]:
        """Of the attempts that have begun, in the plan's order. Raises: NotFound."""
        state = self._with_stage(run, stage)
        return tuple(
            AttemptLog(
                each.name, task.id, attempt.number, self._log_size(state, task, attempt), _over(attempt)
            )
            for each, task in state.tasks()
            if stage in ("", each.name)
            for attempt in task.attempts
        )

    def log(self, run: str, task: str, number: int, *, start: int = 0, most: int = LOG_PART) -> LogPart:
        """At most ``most`` bytes of an attempt's log. Raises: NotFound where the run has no such attempt."""
        state = self.run(run)
        attempt = self._attempt(state, task, number)
        ended = _over(attempt)  # asked first: what was written before its end is read
        key = attempt_key(state.id, task, number)
        size = self.artifacts.size(key)
        content = self.artifacts.part(key, start, most) if start < size else b""
        return LogPart(content, start, max(size, start + len(content)), ended)

    def files(self, run: str) -> tuple[RunFile, ...]:
        """Raises: NotFound."""
        return tuple(
            RunFile(stage.name, task.id, attempt.number, artifact)
            for stage, task in self.run(run).tasks()
            for attempt in task.attempts
            if attempt.result is not None
            for artifact in attempt.result.artifacts
        )

    def file(self, run: str, task: str, number: int, name: str) -> Artifact:
        """Raises: NotFound."""
        for each in self.files(run):
            if (each.task, each.attempt, each.artifact.name) == (task, number, name):
                return each.artifact
        raise NotFound(f"attempt {number} of {task} left no file {name!r}", "list the run's artifacts")

    def content(self, key: str, start: int = 0, most: int = LOG_PART) -> bytes:
        """Raises: NotFound."""
        return self.artifacts.part(key, start, most)

    def stages(self, runs: Collection[str]) -> Mapping[str, Mapping[str, StageEnd]]:
        """Of those of the runs that have ended, by their full ids: how each stage did. For lists."""
        return self.figuring.figures.stages(runs)

    # projects
    def projects(self) -> tuple[ProjectRow, ...]:
        """By name."""
        return tuple(
            ProjectRow(name, number, next(iter(self.store.runs(RunFilter(project=name), limit=1)), None))
            for name, number in self.figuring.figures.projects().items()
        )

    def project(self, name: str, since: date | None = None) -> ProjectFigures:
        """``since``: the first day (UTC), by default 30 days with today. Of a project without runs, all is empty."""
        return self.figuring.project(name, since)

    # the system
    def deliveries(self, *, repository: str = "", cursor: str = "", limit: int = 50) -> Page[Delivery]:
        """Newest first."""
        most = max(1, min(limit, MOST))
        source, _, id = cursor.partition(" ")
        rows = self.known.page(limit=most + 1, repository=repository, before=(source, id))
        last = rows[most - 1] if len(rows) > most else None
        return Page(tuple(rows[:most]), f"{last.source} {last.id}" if last else "")

    def delivered(self, given: str) -> tuple[Delivery, ...]:
        """The delivery with this id, or those about the commit whose id begins so, newest first; empty: none."""
        found = self.known.find(given)
        if found is not None:
            return (found,)
        return tuple(self.known.of_commit(given)) if _COMMIT.fullmatch(given) else ()

    def broker(self) -> Broker:
        """Raises: TransientError."""
        bus = self.bus()
        lags = tuple(
            Lag(group, topic, partition, behind)
            for group, topics in self.groups.items()
            for (topic, partition), behind in sorted(bus.lag(group, topics).items())
        )
        leases = tuple(self.store.open_attempts(limit=MOST_LEASES))
        return Broker(lags, leases, dead_letters(bus))

    def letters(self) -> tuple[DeadLetter, ...]:
        """Dead letters that are open, oldest first. Raises: TransientError."""
        return dead_letters(self.bus())

    # ----------------------------------------------------------------------------------------

    def _with_stage(self, given: str, stage: str) -> Run:
        run = self.run(given)
        if stage and stage not in run.stages:
            raise NotFound(f"run {run.id[:12]} has no stage {stage!r}", f"it has {', '.join(run.stages)}")
        return run

    def _log_size(self, run: Run, task: Task, attempt: Attempt) -> int:
        return self.artifacts.size(attempt_key(run.id, task.id, attempt.number))

    def _attempt(self, run: Run, task: str, number: int) -> Attempt:
        for _, each in run.tasks():
            if each.id == task and 1 <= number <= len(each.attempts):
                return each.attempts[number - 1]
        raise NotFound(f"run {run.id[:12]} has no attempt {number} of {task!r}", "`turnout show` lists them")


def _over(attempt: Attempt) -> bool:
    return attempt.finished_at is not None
