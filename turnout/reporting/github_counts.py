"""Tests, coverage and findings as GitHub shows them, of a run and of a stage. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from turnout.core.result import Tests
from turnout.core.run import Run
from turnout.reporting import markdown as md
from turnout.reporting.figures import Base, coverage, figures, findings_of, tests_of
from turnout.reporting.wording import by_severity, counted


def sums(run: Run, base: Base) -> Iterator[str]:
    """One line of figures over the whole run."""
    total, measured = figures(run), coverage(run)
    if total.tests:
        failed = f", **{total.failed:,} failed**" if total.failed else ""
        yield f"{counted(total.tests, 'test')}, {total.passed:,} passed{failed}"
    if len(measured) == 1:
        yield f"coverage {_percent(*next(iter(measured.items())), base)}"
    if any(total.found.values()) or any(True for _ in findings_of(run)):
        yield f"findings: {_severities(total.found, total.new)}"


def of_stage(run: Run, name: str, base: Base) -> Iterator[str]:
    """What a stage's tasks have counted, a line each."""
    tasks = run.stages[name].all_tasks
    for task, tests in tests_of(run):
        if task in tasks:
            yield _of_task(task, name, _counted_tests(task, tests, base))
    for task, findings in findings_of(run):
        if task in tasks:
            said = f"findings: {_severities(findings.counts, findings.new)}"
            yield _of_task(task, name, said + (f", {findings.ignored:,} ignored" if findings.ignored else ""))


def _of_task(task: str, stage: str, said: str) -> str:
    return said if task == stage else f"{md.code(task)}: {said}"


def _severities(counts: Mapping[str, int], new: Mapping[str, int] | None) -> str:
    fresh = f" (new: {by_severity(dict(new)) or 'none'})" if new is not None else ""
    return md.text((by_severity(dict(counts)) or "none") + fresh)


def _counted_tests(task: str, tests: Tests, base: Base) -> str:
    parts = [counted(tests.total, "test"), f"{tests.passed:,} passed"]
    parts += [
        f"{number:,} {word}"
        for number, word in (
            (tests.failed + tests.errors, "failed"),
            (tests.skipped, "skipped"),
            (len(tests.flaky), "flaky"),
        )
        if number
    ]
    if tests.coverage is not None:
        parts.append(f"{_percent(task, tests.coverage, base)} of lines covered")
    return ", ".join(parts)


def _percent(task: str, measured: float, base: Base) -> str:
    """``81.2 % (+0.4 against main)``."""
    before = base.coverage.get(task)
    if before is None:
        return f"{measured:.1f} %"
    change = round(measured - before, 1) + 0.0  # never a minus zero
    return f"{measured:.1f} % ({f'{change:+.1f}' if change else '±0'} against {md.code(base.branch)})"
