"""The use case of runs that time asks for, by the pipeline file on each project's default branch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.config import PipelineConfig, ProjectConfig
from turnout.core.cron import latest
from turnout.core.errors import TransientError, TurnoutError
from turnout.core.ids import message_id
from turnout.core.ports import Clock, Commit, Producer, Store
from turnout.core.topics import PIPELINE_EVENTS
from turnout.logging import get_logger
from turnout.publishing import publish

READ_EVERY = timedelta(minutes=1)
"""How old what is known of a branch's pipeline file may be."""
WITHIN = timedelta(hours=1)
"""How late a run may come that was due while nothing was up; of several, the newest alone."""
SOURCE = "/turnout/scheduler"
log = get_logger()


class Projects(Protocol):
    def all(self) -> Sequence[ProjectConfig]: ...


@dataclass
class Scheduling:
    """``change``: a project to the newest commit of its default branch. ``read``: the pipeline file there. Both raise
    TransientError (the remote is away), PermanentError, InvalidConfig."""

    store: Store
    producer: Producer | None
    clock: Clock
    projects: Projects
    change: Callable[[ProjectConfig], Change]
    read: Callable[[Change, ProjectConfig], PipelineConfig]
    _known: dict[str, tuple[datetime, Sequence[tuple[str, Change]]]] = field(default_factory=dict, init=False)

    def fire(self) -> int:
        """Ask for the runs that are due; how many. Asking again is harmless: the same time is the same run.

        A project whose branch or file can't be read has its turn another time, and keeps nobody else from theirs.
        Raises: TransientError, where the store or the broker is away.
        """
        now = self.clock.now()
        done = 0
        for project in self.projects.all():
            for cron, change in self._schedules(project, now):
                due = latest(cron, now, WITHIN)
                if due is not None:
                    done += self._ask(change, cron, due, now)
        return done

    def _schedules(self, project: ProjectConfig, now: datetime) -> Sequence[tuple[str, Change]]:
        known = self._known.get(project.repository)
        if known is None or now - known[0] >= READ_EVERY:
            known = self._known[project.repository] = (now, self._read(project, known[1] if known else ()))
        return known[1]

    def _read(
        self, project: ProjectConfig, before: Sequence[tuple[str, Change]]
    ) -> Sequence[tuple[str, Change]]:
        """While the remote is away, what was known ``before`` holds."""
        try:
            change = self.change(project)
            config = self.read(change, project)
        except TransientError as error:
            log.warning("schedules can't be read", project=project.repository, reason=str(error))
            return before
        except TurnoutError:
            return ()  # a push with such a file is told what is wrong with it
        return [(cron, change) for cron in (config.on.schedule.cron if config.on.schedule else ())]

    def _ask(self, change: Change, cron: str, due: datetime, now: datetime) -> int:
        trigger = message_id(m.RunRequested.type, "schedule", change.repository, cron, due.isoformat())
        if self.store.seen(trigger):
            return 0
        asked = change.with_(title=f"scheduled for {due:%Y-%m-%d %H:%M} UTC ({cron})")
        message = m.RunRequested(trigger=trigger, change=asked)
        record = m.wrap(message, id=trigger, source=SOURCE, at=now).to_record(
            PIPELINE_EVENTS, change.repository
        )
        publish(self.store.commit(Commit(None, 0, (), (record,), now)), self.store, self.producer, self.clock)
        return 1
