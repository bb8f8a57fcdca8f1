"""Runs to tell of, made by the production decider, and a desk that reports them from a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.core.building import START, Story, a_plan, stage
from turnout.adapters.memory_store import MemoryStore
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.decider import Decidable, StartRun
from turnout.core.messages import ReportRequested
from turnout.core.model import ChangeKind, Outcome
from turnout.core.plan import ConfigProblem, Notify, Plan
from turnout.core.ports import Commit, Store
from turnout.core.result import FailedCase, Finding, Findings, Result, Tests
from turnout.core.run import Run
from turnout.reporting.deliver import Channel, report

CHANGE = Change(
    kind=ChangeKind.PUSH,
    repository="acme/shop",
    clone_url="https://git.example.org/acme/shop.git",
    ref="refs/heads/main",
    sha="4f2a9c1d" + "0" * 32,
    branch="main",
    author="Ada",
    title="Let orders be <cancelled> & refunded",
    url="https://git.example.org/acme/shop/commit/4f2a9c1d",
)
RUN = "0b9f3a52-6c1e-5d5c-9a57-3f1d2c4b5a69"

FAILED_CASES = (
    FailedCase(
        id="tests/test_cart.py::test_total", name="test_total", message="assert 41 == 42\n  in cart.py"
    ),
    FailedCase(id="tests/test_cart.py::test_empty", name="test_empty[0]", message="KeyError: '<id>'"),
)
TWO_FAILED = Result(
    outcome=Outcome.FAILURE,
    summary="2 of 142 tests failed",
    tests=Tests(total=142, passed=140, failed=2, failed_cases=FAILED_CASES),
    tools={"pytest": "9.0.2"},
)
LINTED = Result(
    outcome=Outcome.FAILURE,
    summary="12 findings",
    findings=Findings(
        counts={"low": 10, "high": 2},
        named=(
            Finding(
                rule="E0602", severity="high", message="undefined name 'x'", path="shop/cart.py", line=12
            ),
        ),
    ),
)
PROBLEM = ConfigProblem(
    file="pipeline.yml",
    line=7,
    column=5,
    path="pipeline.stages[2].retries",
    message="unknown key 'maxx'",
    hint="did you mean 'max'?",
)


def pipeline(
    *, on: Sequence[str] = ("failure", "recovered"), slack: str = "#ci", email: Sequence[str] = ()
) -> Plan:
    """lint, then test with one retry, then script."""
    return a_plan(
        stage("lint", agent="lint"),
        stage("test", "lint", agent="test", retries=1),
        stage("script", "test"),
        notify=Notify(slack=slack, email=tuple(email), on=tuple(on)),
    )


def told(
    plan: Plan | None, *, change: Change = CHANGE, run: str = RUN, at: datetime = START, **more: object
) -> Story:
    """The story of a run that has just been created, ``at``."""
    story = Story(now=at)
    story.hear(
        StartRun.model_validate(
            {"run": run, "trigger": f"t-{run}", "project": "shop", "change": change, "plan": plan, **more}
        )
    )
    return story


def passes(story: Story, *tasks: str, seconds: float = 3.0, summary: str = "all good") -> Story:
    for task in tasks:
        ends(story, task, Result(outcome=Outcome.SUCCESS, summary=summary), seconds)
    return story


def ends(story: Story, task: str, result: Result, seconds: float = 3.0) -> Story:
    story.starts(task)
    story.now += timedelta(seconds=seconds)
    attempt = story.attempt(task).id
    story.hear(
        m.TaskFinished(
            run=story.run.id, task=task, attempt=attempt, token="-", worker="w1", at=story.now, result=result
        )
    )
    story.later(0.0)  # a retry without a backoff is due at once
    return story


@dataclass
class HandClock:
    """Shows what it was set to."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Desk:
    """A store with runs in it, and the channels that they are told over."""

    channels: Sequence[Channel]
    store: Store = field(default_factory=MemoryStore)
    clock: HandClock = field(default_factory=HandClock)

    def put(self, story: Story) -> Run:
        """Store what the story holds beyond what the store has."""
        run = story.run
        before = self.store.load(run.id)
        known = before.version if before else 0
        if run.version > known:
            events = tuple(story.history[known:])
            self.store.commit(Commit(run=run, expected=known, events=events, records=(), at=self.clock.now()))
        return run

    def report(self, story: Story, fact: str) -> None:
        run = self.put(story)
        self.again(run, fact, run.version)

    def again(self, run: Run, fact: str, version: int) -> None:
        """The same message once more, as a redelivery brings it."""
        message = ReportRequested(run=run.id, version=version, fact=fact, project=run.project)
        report(message, self.store, self.channels, self.clock)

    def status(self, run: Run, channel: str, fact: str) -> str:
        row = self.store.find_report(run.id, channel, fact)
        return row.status if row else ""

    def hear(self, story: Story, message: Decidable) -> None:
        story.hear(message)
        self.put(story)
