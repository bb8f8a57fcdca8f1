"""A job that has shown its pass, and what the store knows of its attempt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from turnout.core import messages as m
from turnout.core.outgoing import task_request
from turnout.core.run import Attempt, Run, Task, TaskStatus
from turnout.gateway.exchange import Standing, State
from turnout.gateway.refusals import NotNow, NotWanted


@dataclass(frozen=True)
class Visit:
    """``mark``: what tells this job from others of the same attempt."""

    run: Run
    task: Task
    attempt: Attempt
    agent: str
    mark: str

    @property
    def state(self) -> State:
        if self.task.status is TaskStatus.LAUNCHED:
            return "waiting"
        return "yours" if self.attempt.worker.endswith(self.mark) else "others"

    @property
    def standing(self) -> Standing:
        return Standing(state=self.state, stop=self.attempt.cancel_reason)

    @cached_property
    def request(self) -> m.TaskRequested:
        """The attempt's task, with no token in it."""
        message = task_request(self.run, self.attempt.id, lambda _: "").message
        assert isinstance(message, m.TaskRequested)
        return message

    def must_own(self) -> None:
        """Raises: NotNow, NotWanted."""
        if self.state == "waiting":
            raise NotNow("the attempt's start is not recorded yet", "say that it started, and wait for it")
        self.must_not_be_anothers()

    def must_not_be_anothers(self) -> None:
        """Raises: NotWanted."""
        if self.state == "others":
            raise NotWanted(f"another job runs attempt {self.attempt.id}", "nothing is wanted of this one")


def mark_of(session: str) -> str:
    """What is recorded of a session; the session itself can't be found from it."""
    return f"~{hashlib.sha256(session.encode('utf-8', 'replace')).hexdigest()[:20]}"
