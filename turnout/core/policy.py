"""Rules that `decide` asks: budgets and backoff, outcomes of parts, who may approve, what a token proves."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from turnout.core.events import Timing
from turnout.core.model import Outcome
from turnout.core.plan import PlannedStage
from turnout.core.result import Result
from turnout.core.run import Run, RunStatus, Stage, Task

MAX_BACKOFF = 6 * 3600.0
LOST_BACKOFF = 5.0
"""Seconds before the second retry of a lost attempt; the first is immediate."""

UNDOING = {"build": 75.0, "deploy": 120.0}
"""Seconds, by agent."""

_PASS = re.compile(r"v1\.([1-9][0-9]{0,11})\.[0-9a-f]{64}", re.ASCII)
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
    return worst_of(stage.tasks.values())


def time_to_end(agent: str, seconds: float) -> float:
    """How long an attempt may take to end that was told to, or has run out of time: ``seconds``, or as long as its
    agent needs to undo what it is in the midst of. Its lease goes on: an agent that has died is not waited for."""
    return max(seconds, UNDOING.get(agent, 0.0))


def worst_of(tasks: Collection[Task]) -> tuple[Outcome, str]:
    for outcome in _WORST_FIRST:
        for task in tasks:
            if task.outcome is outcome:
                return outcome, task.reason
    return Outcome.SUCCESS, ""


def outcome_of_run(run: Run) -> tuple[Outcome, str]:
    """What all stages together come to; call it when all have finished. The reason tells of rollbacks too."""
    outcome, reason = _outcome_of_stages(run)
    return outcome, "; ".join(filter(None, (reason, *_rolled_back(run))))


def _rolled_back(run: Run) -> Iterator[str]:
    for stage in run.stages.values():
        if stage.rollback is None or stage.rollback.outcome is None:
            continue
        if stage.rollback.outcome is Outcome.SUCCESS:
            yield f"{stage.name} was rolled back"
        else:
            why = f": {stage.rollback.reason}" if stage.rollback.reason else ""
            yield f"the rollback of {stage.name} failed{why}"


def _outcome_of_stages(run: Run) -> tuple[Outcome, str]:
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


# --- the pass of a launched job ------------------------------------------------------------------

SETTLING = 600.0
"""Seconds that a launched job gets after all its limits for the end of its log, its artifacts and its result."""


def pass_expiry(timing: Timing, timeout: float, issued: datetime) -> datetime:
    """When a job that is launched now has no business at the gateway any more, whatever has happened meanwhile.

    ``timeout``: the attempt's own limit, in seconds.
    """
    limits = timing.launch + timing.lease + timeout + timing.timeout_grace + timing.cancel_grace
    return issued + timedelta(seconds=math.ceil(limits + SETTLING))


def gateway_token(key: bytes, attempt: str, expires: datetime) -> str:
    """``v1.<expiry>.<mac>``: opens the gateway for one attempt, up to ``expires`` (whole seconds since the epoch).

    It is no `attempt_token`: whoever has it can say nothing on the topics.
    """
    until = math.floor(expires.timestamp())
    return f"v1.{until}.{_pass_mac(key, attempt, until)}"


def check_gateway_token(
    key: bytes, attempt: str, token: str, now: datetime
) -> Literal["valid", "expired", "forged"]:
    """``forged``: also one that was issued for another attempt."""
    until = gateway_token_expiry(token)
    expected = f"v1.{until}.{_pass_mac(key, attempt, until or 0)}"
    if until is None or not hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace")):
        return "forged"
    return "valid" if now.timestamp() < until else "expired"


def gateway_token_expiry(token: str) -> int | None:
    """Seconds since the epoch, as the token says; None: it is no such token."""
    found = _PASS.fullmatch(token)
    return int(found[1]) if found else None


def _pass_mac(key: bytes, attempt: str, until: int) -> str:
    return hmac.new(key, f"gateway\x1f{attempt}\x1f{until}".encode(), hashlib.sha256).hexdigest()
