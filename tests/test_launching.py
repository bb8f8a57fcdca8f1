from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.core.building import START, Story, a_plan, stage
from turnout.core import messages as m
from turnout.core.envelope import Envelope
from turnout.core.errors import InvalidEnvelope, TransientError
from turnout.core.model import Runtime
from turnout.core.outgoing import task_request
from turnout.core.ports import JobState
from turnout.launching import Launcher


@dataclass
class Jobs:
    """A runtime that keeps what it was told. ``away``: its cluster does not answer."""

    launched: set[str] = field(default_factory=set)
    cancelled: list[str] = field(default_factory=list)
    away: bool = False

    def launch(self, task: m.TaskRequested) -> bool:
        if self.away:
            raise TransientError("the cluster does not answer")
        new = task.attempt not in self.launched
        self.launched.add(task.attempt)
        return new

    def cancel(self, attempt: str) -> None:
        self.cancelled.append(attempt)

    def state(self, attempt: str) -> JobState:
        return JobState("running" if attempt in self.launched else "unknown")


def task(runtime: Runtime = Runtime.DOCKER) -> m.TaskRequested:
    story = Story.of(a_plan(stage("unit", runtime=runtime)))
    message = task_request(story.run, story.attempt("unit").id, lambda _attempt: "token").message
    assert isinstance(message, m.TaskRequested)
    return message


def wrapped(message: m.Message) -> Envelope:
    return m.wrap(message, id="m1", source="/test", at=START)


def cancel(attempt: str = "a1") -> m.CancelTask:
    return m.CancelTask(run="r1", task="unit", agent="script", attempt=attempt, reason="halted")


def test_a_task_goes_to_its_own_runtime() -> None:
    docker, cluster = Jobs(), Jobs()
    launcher = Launcher({Runtime.DOCKER: docker, Runtime.KUBERNETES: cluster})
    assert launcher.handle(wrapped(task()))
    assert (docker.launched, cluster.launched) == ({task().attempt}, set())


def test_a_task_that_comes_twice_is_launched_once() -> None:
    launcher = Launcher({Runtime.DOCKER: Jobs()})
    assert [launcher.handle(wrapped(task())) for _ in range(2)] == [True, False]


def test_a_task_for_resident_agents_is_left_to_them() -> None:
    docker = Jobs()
    assert not Launcher({Runtime.DOCKER: docker}).handle(wrapped(task(Runtime.PROCESS)))
    assert not Launcher({}).handle(wrapped(task()))
    assert docker.launched == set()


def test_a_cancel_goes_to_every_runtime_since_it_does_not_say_which() -> None:
    docker, cluster = Jobs(), Jobs()
    launcher = Launcher({Runtime.DOCKER: docker, Runtime.KUBERNETES: cluster})
    assert launcher.handle(wrapped(cancel()))
    assert docker.cancelled == cluster.cancelled == ["a1"]
    assert not Launcher({}).handle(wrapped(cancel()))


def test_a_runtime_that_does_not_answer_is_tried_again_later() -> None:
    with pytest.raises(TransientError):
        Launcher({Runtime.DOCKER: Jobs(away=True)}).handle(wrapped(task()))


def test_a_message_for_others_is_refused() -> None:
    with pytest.raises(InvalidEnvelope, match=r"turnout\.run\.cancel is no message for the launcher"):
        Launcher({}).handle(wrapped(m.CancelRun(run="r1", by="ada")))
