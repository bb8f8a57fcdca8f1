"""Runs that have ended, as the figures' tests need them: each stage with its attempts, at the seconds given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from turnout.core.change import Change
from turnout.core.model import ChangeKind, Outcome
from turnout.core.plan import Approval, Plan, PlannedStage, PlannedTask
from turnout.core.result import Result
from turnout.core.run import (
    ApprovalGiven,
    Attempt,
    Rollback,
    Run,
    RunStatus,
    Stage,
    StageStatus,
    Task,
    TaskStatus,
)

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
Times = tuple[float, float, float]
"""Seconds: launched, started, finished."""


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Told:
    """A stage of one task: its attempts' times and results, one each; what else is to be known of stage and plan."""

    name: str
    agent: str
    times: tuple[Times, ...]
    results: tuple[Result, ...]
    environment: str = ""
    approved: float | None = None
    needs: tuple[str, ...] = ()
    rolled_back: float | None = None
    task: dict[str, int] | None = None

    @property
    def outcome(self) -> Outcome:
        return self.results[-1].outcome


def success(**more: Any) -> Result:
    return Result(outcome=Outcome.SUCCESS, **more)


def failure(**more: Any) -> Result:
    return Result(outcome=Outcome.FAILURE, **more)


def ended(
    *told: Told, id: str = "r1", outcome: Outcome = Outcome.SUCCESS, until: float = 100, **more: Any
) -> Run:
    """Created at second 0, ended at ``until``. ``more``: of its change, and ``project``."""
    project = more.pop("project", "acme/shop")
    change = Change(
        kind=more.pop("kind", ChangeKind.PUSH),
        repository=project,
        clone_url="https://example.org/shop.git",
        ref="refs/heads/main",
        sha="5" * 40,
        branch=more.pop("branch", "main"),
    ).with_(**more)
    return Run(
        id=id,
        version=9,
        status=RunStatus.FINISHED,
        project=project,
        change=change,
        trigger="t",
        plan=Plan(digest="d" * 64, project=project, stages=tuple(_planned(each) for each in told)),
        created_at=at(0),
        finished_at=at(until),
        outcome=outcome,
        stages={each.name: _stage(each, until) for each in told},
    )


def _planned(told: Told) -> PlannedStage:
    return PlannedStage(
        name=told.name,
        agent=told.agent,
        needs=told.needs,
        tasks=(PlannedTask(id=told.name),),
        environment=told.environment,
        approval=None if told.approved is None else Approval(),
    )


def _stage(told: Told, until: float) -> Stage:
    attempts = tuple(
        Attempt(
            id=f"{told.name}-{number}",
            number=number,
            launched_at=at(launched),
            launch_deadline=at(launched + 900),
            started_at=at(started),
            finished_at=at(finished),
            result=result,
        )
        for number, ((launched, started, finished), result) in enumerate(
            zip(told.times, told.results, strict=True), start=1
        )
    )
    back = None
    if told.rolled_back is not None:
        back = Rollback(
            because="check",
            tasks={},
            started_at=at(told.rolled_back - 1),
            finished_at=at(told.rolled_back),
            outcome=Outcome.SUCCESS,
        )
    task = Task(id=told.name, status=TaskStatus.FINISHED, attempts=attempts, outcome=told.outcome)
    return Stage(
        name=told.name,
        status=StageStatus.FINISHED,
        tasks={told.name: task.with_(**(told.task or {}))},
        started_at=attempts[0].launched_at,
        finished_at=attempts[-1].finished_at or at(until),
        expires_at=None if told.approved is None else at(86400),
        approvals=() if told.approved is None else (ApprovalGiven(by="ada", at=at(told.approved)),),
        outcome=told.outcome,
        rollback=back,
    )
