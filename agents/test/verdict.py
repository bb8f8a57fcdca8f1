"""From what the runners reported to the stage's result. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agents.sdk.junit import Case, Status, count, one_line
from agents.test.report import Report
from turnout.core.model import Outcome
from turnout.core.result import MAX_NAMED, FailedCase, Result, Tests


def verdict(
    reports: Sequence[Report],
    *,
    previous_failed: Sequence[FailedCase] = (),
    previous: Tests | None = None,
    only: Sequence[str] = (),
    coverage_min: float = 0.0,
) -> Result:
    """``only``: the ids that were run again, empty: everything ran. ``previous``: the counts before, where known."""
    cases = [case for report in reports for case in report.cases]
    bad = [case for case in cases if case.status in (Status.FAILED, Status.ERROR)]
    good = {case.id for case in cases if case.status is Status.PASSED} - {case.id for case in bad}
    errors = [report.error for report in reports if report.error]
    failures = [report.failure for report in reports if report.failure]
    coverage = previous.coverage if only and previous else _coverage(reports)
    if coverage is not None and coverage < coverage_min:
        failures.append(f"coverage of {coverage:.1f} % of lines is below the {coverage_min:g} % asked for")
    tests = None
    if any(report.counted for report in reports):
        flaky = tuple(case.id for case in previous_failed if case.id in good)
        tests = _tests(cases, bad, _before(previous, only, bad)).with_(flaky=flaky, coverage=coverage)
        tests = tests.with_(failed_cases=_named(bad, [*errors, *failures]))
    outcome = Outcome.ERROR if errors and not bad else Outcome.FAILURE if bad or failures else Outcome.SUCCESS
    return Result(
        outcome=outcome,
        summary=_summary(tests, only, [*failures, *errors]),
        reason="; ".join(errors),
        tests=tests,
        tools={name: version for report in reports for name, version in report.tools.items() if version},
        exit_code=next((report.exit_code for report in reports if report.exit_code), reports[0].exit_code),
    )


def _before(previous: Tests | None, only: Sequence[str], bad: Sequence[Case]) -> Tests:
    """What stands from the attempt before where only its failures were run again; nothing where everything was.

    A case that was not asked for and failed now had passed then.
    """
    if previous is None or not only:
        return Tests()
    spoiled = sum(case.id not in only and case.file not in only for case in bad)
    return Tests(
        passed=max(previous.passed - spoiled, 0), skipped=previous.skipped, duration=previous.duration
    )


def _tests(cases: Sequence[Case], bad: Sequence[Case], before: Tests) -> Tests:
    passed = before.passed + count(cases, Status.PASSED)
    skipped = before.skipped + count(cases, Status.SKIPPED)
    return Tests(
        total=passed + skipped + len(bad),
        passed=passed,
        failed=count(bad, Status.FAILED),
        errors=count(bad, Status.ERROR),
        skipped=skipped,
        duration=round(before.duration + sum(case.duration for case in cases), 3),
    )


def _named(bad: Sequence[Case], besides: Sequence[str]) -> tuple[FailedCase, ...]:
    """What failed, by name. What is no case has no id, so that nobody takes the cases for all there is to run again."""
    unnamed = tuple(FailedCase(id="", name=one_line(text), message=text) for text in besides)
    cases = bad[: MAX_NAMED - len(unnamed)]
    named = (
        FailedCase(id=each.id, name=_name(each), message=each.message or one_line(each.details))
        for each in cases
    )
    return (*named, *unnamed)


def _name(case: Case) -> str:
    return case.id.replace("::", " › ") if case.id else case.name


def _coverage(reports: Sequence[Report]) -> float | None:
    """In percent of lines; a report without any line to cover counts for nothing."""
    lines = [report.lines for report in reports if report.lines]
    if not lines:
        return None
    total = sum(each.total for each in lines)
    return round(100 * sum(each.covered for each in lines) / total, 2) if total else 100.0


def _summary(tests: Tests | None, only: Sequence[str], wrong: Sequence[str]) -> str:
    """One line: what came of the cases, then what else went wrong."""
    if tests is None:
        told = wrong or [
            "npm test succeeded (only its exit status is known: no runner in it is one that counts cases)"
        ]
        return one_line("; ".join(told))
    bad = tests.failed + tests.errors
    if only:
        again = len(only)
        passed = "it passed" if again == 1 else "all passed"
        noun = (
            "the test that had failed was" if again == 1 else f"only the {again} tests that had failed were"
        )
        parts = [
            f"{noun} run again: {f'{bad} failed' if bad else f'{passed} (flaky)' if tests.flaky else passed}"
        ]
    elif bad:
        parts = [f"{bad} of {tests.total} tests failed"]
    else:
        parts = [f"{tests.passed} {'test' if tests.passed == 1 else 'tests'} passed"]
    if not tests.total and wrong:
        parts = []
    if tests.skipped:
        parts.append(f"{tests.skipped} skipped")
    if tests.flaky and not only:
        parts.append(f"{len(tests.flaky)} flaky")
    if tests.coverage is not None and not only and not any(each.startswith("coverage") for each in wrong):
        parts.append(f"coverage {tests.coverage:.1f} %")
    return one_line("; ".join(filter(None, [", ".join(parts), *wrong])))
