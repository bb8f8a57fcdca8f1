"""What a run has counted, beside what the newest run of its base branch had: tests, coverage, findings. Pure but for
reading that run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from turnout.core.model import ChangeKind
from turnout.core.ports import RunFilter
from turnout.core.result import Findings, Tests
from turnout.core.run import Run
from turnout.reporting.ledger import Reports

LOOK_BACK = 20
"""Rows of the base branch that are looked at for runs of its own commits."""
LOADED = 5
"""Of those, how many are read for one that has measured coverage."""


@dataclass(frozen=True, slots=True)
class Base:
    """Coverage in percent of lines, by task, of the newest run before on ``branch`` that measured any."""

    branch: str = ""
    coverage: Mapping[str, float] = field(default_factory=dict)


NO_BASE = Base()


def base_of(run: Run, reports: Reports) -> Base:
    """Empty where the run has measured nothing, or there is nothing to compare it with."""
    branch = run.change.base_branch or run.change.branch
    if not branch or not coverage(run):
        return Base()
    wanted = RunFilter(project=run.project, branch=branch, status="finished")
    rows = reports.runs(wanted, limit=LOOK_BACK, before=run.id)
    own = (
        row for row in rows if row.kind != ChangeKind.PULL_REQUEST
    )  # a branch elsewhere may be called the same
    for row, _ in zip(own, range(LOADED), strict=False):
        before = reports.load(row.id)
        measured = coverage(before) if before is not None else {}
        if measured:
            return Base(branch, measured)
    return Base()


def coverage(run: Run) -> dict[str, float]:
    """By task, as far as it was measured."""
    found = ((task, tests.coverage) for task, tests in tests_of(run))
    return {task: percent for task, percent in found if percent is not None}


def tests_of(run: Run) -> Iterator[tuple[str, Tests]]:
    """By task: what its newest attempt that ran tests found."""
    for _, task in run.tasks():
        for attempt in reversed(task.attempts):
            if attempt.result and attempt.result.tests:
                yield task.id, attempt.result.tests
                break


def findings_of(run: Run) -> Iterator[tuple[str, Findings]]:
    """By task: what its newest attempt that looked for anything found."""
    for _, task in run.tasks():
        for attempt in reversed(task.attempts):
            if attempt.result and attempt.result.findings:
                yield task.id, attempt.result.findings
                break


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over all tasks. ``new``: None where no task could compare its findings with those of the base branch."""

    tests: int
    passed: int
    failed: int
    skipped: int
    found: Mapping[str, int]
    new: Mapping[str, int] | None
    ignored: int


def figures(run: Run) -> Figures:
    tests = [each for _, each in tests_of(run)]
    findings = [each for _, each in findings_of(run)]
    found, new = Counter[str](), Counter[str]()
    for each in findings:
        found.update(each.counts)
        new.update(each.new or {})
    return Figures(
        tests=sum(each.total for each in tests),
        passed=sum(each.passed for each in tests),
        failed=sum(each.failed + each.errors for each in tests),
        skipped=sum(each.skipped for each in tests),
        found=dict(found),
        new=dict(new) if any(each.new is not None for each in findings) else None,
        ignored=sum(each.ignored for each in findings),
    )
