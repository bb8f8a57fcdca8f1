"""The attempts of a run that did not go well, and what they found. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from turnout.core.model import Outcome
from turnout.core.result import FailedCase, Finding, Result
from turnout.core.run import Attempt, Run, TaskStatus
from turnout.reporting.policy import BAD
from turnout.reporting.wording import OUTCOMES, first_line


@dataclass(frozen=True, slots=True)
class Trouble:
    """``again``: the task was, or will be, tried once more. ``standing``: it is the task's last word so far,
    and the stage is not allowed to fail. ``seconds`` is None where the attempt never started."""

    attempt: str
    task: str
    number: int
    outcome: Outcome
    again: bool
    standing: bool
    result: Result
    ended_at: datetime
    seconds: float | None

    @property
    def title(self) -> str:
        tried = f", attempt {self.number}," if self.number > 1 or self.again else ""
        return f"{self.task}{tried} {OUTCOMES[self.outcome]}"

    @property
    def summary(self) -> str:
        return first_line(self.result.summary)

    @property
    def reason(self) -> str:
        """Why, where the summary doesn't say it already."""
        reason = first_line(self.result.reason, 500)
        return "" if reason == self.summary else reason

    @property
    def failed_tests(self) -> int:
        """How many in all; `cases` may name fewer."""
        tests = self.result.tests
        return max(tests.failed + tests.errors, len(tests.failed_cases)) if tests else 0

    @property
    def cases(self) -> tuple[FailedCase, ...]:
        return self.result.tests.failed_cases if self.result.tests else ()

    @property
    def found(self) -> int:
        """How many findings in all; `findings` may name fewer."""
        found = self.result.findings
        return max(sum(found.counts.values()), len(found.named)) if found else 0

    @property
    def counts(self) -> dict[str, int]:
        return self.result.findings.counts if self.result.findings else {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.result.findings.named if self.result.findings else ()


def troubles(run: Run) -> tuple[Trouble, ...]:
    """In the order of their end."""
    return tuple(sorted(_troubles(run), key=lambda each: each.ended_at))


def place(finding: Finding) -> str:
    """``src/a.py:12``; empty where the finding names no file."""
    path = first_line(finding.path, 150)
    return f"{path}:{finding.line}" if path and finding.line else path


def _troubles(run: Run) -> Iterator[Trouble]:
    for stage, task in run.tasks():
        for attempt in task.attempts:
            result = attempt.result
            if result is None or result.outcome not in BAD:
                continue
            last = attempt is task.current
            newest = last or not any(later.result for later in task.attempts[attempt.number :])
            yield Trouble(
                attempt=attempt.id,
                task=task.id,
                number=attempt.number,
                outcome=result.outcome,
                again=not last or task.status is TaskStatus.RETRYING,
                standing=newest and not run.planned(stage.name).allow_failure,
                result=result,
                ended_at=attempt.finished_at or run.created_at,
                seconds=_took(attempt),
            )


def _took(attempt: Attempt) -> float | None:
    if attempt.started_at is None or attempt.finished_at is None:
        return None
    return (attempt.finished_at - attempt.started_at).total_seconds()
