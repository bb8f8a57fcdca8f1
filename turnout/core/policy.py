"""Rules that `decide` asks: budgets and backoff, outcomes of parts, who may approve, what a token proves."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from turnout.core.model import Outcome
from turnout.core.plan import PlannedStage
from turnout.core.result import Result
from turnout.core.run import Run, RunStatus, Stage, Task

MAX_BACKOFF = 6 * 3600.0
LOST_BACKOFF = 5.0
"""Seconds before the second retry of a lost attempt; the first is immediate."""

_WORST_FIRST = (Outcome.ERROR, Outcome.TIMED_OUT, Outcome.FAILURE, Outcome.CANCELLED)


@dataclass(frozen=True, slots=True)
class Retry:
    """``delay`` in seconds from now."""

    budget: Literal["pipeline", "infrastructure"]
    delay: float


def retry_after(run: Run, stage: PlannedStage, task: Task, result: Result) -> Retry | None:
    """Whether and when the task is tried again after an attempt that ended as ``result``.

    A lost attempt is paid from the infrastructure budget and never from the pipeline's own.
    """
    if result.lost:
        budget = run.plan.infrastructure_retries if run.plan else 0
        if task.lost >= budget:
            return None
        return Retry("infrastructure", LOST_BACKOFF * task.lost)
    if result.outcome not in stage.retries.on or task.retries >= stage.retries.max:
        return None
    try:
        delay = stage.retries.backoff * stage.retries.factor**task.retries
    except OverflowError:
        delay = MAX_BACKOFF
    return Retry("pipeline", min(delay, MAX_BACKOFF))


def outcome_of_stage(stage: Stage) -> tuple[Outcome, str]:
    """The worst of its tasks, with that task's reason."""
    for outcome in _WORST_FIRST:
        for task in stage.tasks.values():
            if task.outcome is outcome:
                return outcome, task.reason
    return Outcome.SUCCESS, ""


def outcome_of_run(run: Run) -> tuple[Outcome, str]:
    """What all stages together come to; call it when all have finished."""
    if run.status is RunStatus.CANCELLING:
        by = f"cancelled by {run.cancelled_by}" if run.cancelled_by else "cancelled"
        return Outcome.CANCELLED, run.reason or by
    if run.halted_by:
        halted = run.stages[run.halted_by]
        return halted.outcome or Outcome.ERROR, run.reason
    bad = [s for s in run.stages.values() if s.outcome not in (Outcome.SUCCESS, Outcome.SKIPPED) and s.blocks]
    for outcome in _WORST_FIRST:
        for stage in bad:
            if stage.outcome is outcome:
                why = f"{stage.name} ended as {outcome.value}"
                return outcome, f"{why}: {stage.reason}" if stage.reason else why
    return Outcome.SUCCESS, ""


def may_approve(allowed: Collection[str], person: str, teams: Collection[str]) -> bool:
    """``allowed`` holds ``@user`` and ``@org/team``; empty: anyone who could send the message may."""
    if not allowed:
        return True
    people = [each for each in allowed if "/" not in each]  # nobody passes for a team by being called like it
    return f"@{person.lstrip('@')}" in people or any(team in allowed for team in teams)


def attempt_token(key: bytes, attempt: str) -> str:
    """Proves that its bearer was handed this attempt: HMAC-SHA256 of the attempt id, in hex."""
    return hmac.new(key, attempt.encode(), hashlib.sha256).hexdigest()


def verify_token(key: bytes, attempt: str, token: str) -> bool:
    return hmac.compare_digest(attempt_token(key, attempt).encode(), token.encode())
