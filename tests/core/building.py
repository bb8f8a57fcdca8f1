"""Plans, runs and messages for tests of the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.decider import Decidable, StartRun, Tick, decide
from turnout.core.events import Event
from turnout.core.evolve import replay
from turnout.core.model import ChangeKind, Outcome
from turnout.core.plan import Plan, PlannedStage, PlannedTask, Retries
from turnout.core.result import Result
from turnout.core.run import Attempt, Run, Task

START = datetime(2026, 1, 1, tzinfo=UTC)
CHANGE = Change(
    kind=ChangeKind.PUSH,
    repository="acme/shop",
    clone_url="/srv/git/shop.git",
    ref="refs/heads/main",
    sha="a" * 40,
    branch="main",
)


def stage(name: str, *needs: str, cells: Sequence[str] = (), retries: int = 0, **more: Any) -> PlannedStage:
    tasks = tuple(PlannedTask(id=f"{name}[{cell}]", cell={"cell": cell}) for cell in cells)
    return PlannedStage(
        name=name,
        agent=more.pop("agent", "script"),
        needs=needs,
        tasks=tasks or (PlannedTask(id=name),),
        retries=more.pop("retry", Retries(max=retries)),
        **more,
    )


def a_plan(*stages: PlannedStage, **more: Any) -> Plan:
    return Plan(digest="0" * 64, project="acme/shop", stages=stages, **more)


def start(plan: Plan | None, run: str = "r1", **more: Any) -> StartRun:
    known: dict[str, Any] = {"trigger": "t1", "project": "acme/shop", "change": CHANGE}
    return StartRun(run=run, plan=plan, **(known | more))


@dataclass
class Story:
    """A run told message by message, with a clock that goes forward when it is told to.

    ``taken``: environments to the runs that hold them; ``newer``: to those that have deployed something newer.
    """

    now: datetime = START
    history: list[Event] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)
    newer: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        plan: Plan | None,
        taken: dict[str, str] | None = None,
        newer: dict[str, str] | None = None,
        **more: Any,
    ) -> Story:
        story = cls(taken=taken or {}, newer=newer or {})
        story.hear(start(plan, **more))
        return story

    @property
    def run(self) -> Run:
        run = replay(self.history)
        assert run is not None
        return run

    def hear(self, message: Decidable) -> tuple[Event, ...]:
        events = decide(replay(self.history), message, self.now, self.taken, self.newer)
        self.history.extend(events)
        return events

    def later(self, seconds: float, leases: dict[str, datetime] | None = None) -> tuple[Event, ...]:
        self.now += timedelta(seconds=seconds)
        return self.hear(Tick(leases=leases or {}))

    def task(self, task: str) -> Task:
        return next(each for _, each in self.run.tasks() if each.id == task)

    def attempt(self, task: str) -> Attempt:
        current = self.task(task).current
        assert current is not None, f"{task} was never launched"
        return current

    def starts(self, task: str) -> tuple[Event, ...]:
        return self.hear(self.started(task))

    def started(self, task: str) -> m.TaskStarted:
        attempt = self.attempt(task).id
        return m.TaskStarted(run="r1", task=task, attempt=attempt, token="-", worker="w1", at=self.now)

    def finished(self, task: str, outcome: Outcome = Outcome.SUCCESS, **more: Any) -> m.TaskFinished:
        result = Result(outcome=outcome, **more)
        attempt = self.attempt(task).id
        return m.TaskFinished(
            run="r1", task=task, attempt=attempt, token="-", worker="w1", at=self.now, result=result
        )

    def ends(self, task: str, outcome: Outcome = Outcome.SUCCESS, **more: Any) -> tuple[Event, ...]:
        return self.hear(self.finished(task, outcome, **more))

    def active(self) -> list[str]:
        return [task.id for _, task in self.run.tasks() if task.active]

    def outcomes(self) -> dict[str, str]:
        return {
            name: each.outcome.value if each.outcome else each.status.value
            for name, each in self.run.stages.items()
        }


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]
