from __future__ import annotations

from agents.sdk.junit import Case, Status
from agents.test.report import Lines, Report
from agents.test.verdict import verdict
from turnout.core.model import Outcome
from turnout.core.result import MAX_NAMED, FailedCase
from turnout.core.result import Tests as Counts


def case(name: str, status: Status = Status.PASSED, message: str = "") -> Case:
    return Case(f"t.py::{name}", name, status, "t", "t.py", 0.5, message)


GOOD, BAD = case("good"), case("bad", Status.FAILED, "1 != 2")
FAILED_BEFORE = (FailedCase(id="t.py::bad", name="bad"),)


def report(*cases: Case, **fields: object) -> Report:
    return Report("pytest", cases, {"pytest": "9"}, exit_code=0, **fields)  # type: ignore[arg-type]


def test_all_passed_is_success_with_exact_counts() -> None:
    result = verdict([report(GOOD, case("other"), case("skip", Status.SKIPPED))])
    assert result.outcome is Outcome.SUCCESS
    assert result.tests == Counts(total=3, passed=2, skipped=1, duration=1.5)
    assert result.summary == "2 tests passed, 1 skipped"
    assert result.tools == {"pytest": "9"}


def test_failed_cases_are_named_with_ids_and_short_messages() -> None:
    result = verdict([report(GOOD, BAD, case("broken", Status.ERROR, "no fixture"))])
    assert result.outcome is Outcome.FAILURE
    assert result.tests is not None
    assert (result.tests.failed, result.tests.errors) == (1, 1)
    assert [(each.id, each.message) for each in result.tests.failed_cases] == [
        ("t.py::bad", "1 != 2"),
        ("t.py::broken", "no fixture"),
    ]
    assert result.summary == "2 of 3 tests failed"


def test_more_failures_than_can_be_named_are_still_counted() -> None:
    result = verdict([report(*(case(f"bad{n}", Status.FAILED) for n in range(MAX_NAMED + 5)))])
    assert result.tests is not None
    assert result.tests.failed == MAX_NAMED + 5
    assert len(result.tests.failed_cases) == MAX_NAMED


def test_a_case_that_failed_before_and_passes_now_is_flaky() -> None:
    result = verdict([report(case("bad"))], previous_failed=FAILED_BEFORE, only=("t.py::bad",))
    assert result.outcome is Outcome.SUCCESS
    assert result.tests is not None
    assert result.tests.flaky == ("t.py::bad",)
    assert result.summary == "the test that had failed was run again: it passed (flaky)"


def test_counts_of_a_part_that_ran_again_join_those_of_the_attempt_before() -> None:
    before = Counts(total=40, passed=37, failed=1, skipped=2, duration=10.0, coverage=81.5)
    result = verdict(
        [report(case("bad"))], previous_failed=FAILED_BEFORE, previous=before, only=("t.py::bad",)
    )
    assert result.tests == Counts(
        total=40, passed=38, skipped=2, flaky=("t.py::bad",), coverage=81.5, duration=10.5
    )


def test_a_case_that_was_not_asked_for_and_fails_now_is_taken_from_those_that_passed() -> None:
    before = Counts(total=3, passed=2, failed=1)
    now = report(case("bad"), case("fresh", Status.FAILED)).cases
    files = [Case(each.id, each.name, each.status, file="other.py") for each in now]
    result = verdict([report(*files)], previous_failed=FAILED_BEFORE, previous=before, only=("t.py::bad",))
    assert result.outcome is Outcome.FAILURE
    assert result.tests is not None
    assert (result.tests.total, result.tests.passed, result.tests.failed) == (3, 2, 1)


def test_coverage_below_what_is_asked_for_fails_with_both_numbers() -> None:
    result = verdict([report(GOOD, lines=Lines(79, 100))], coverage_min=80)
    assert result.outcome is Outcome.FAILURE
    assert "coverage of 79.0 % of lines is below the 80 % asked for" in result.summary
    assert verdict([report(GOOD, lines=Lines(80, 100))], coverage_min=80).outcome is Outcome.SUCCESS


def test_coverage_of_several_runners_is_that_of_all_their_lines() -> None:
    result = verdict([report(GOOD, lines=Lines(10, 10)), report(GOOD, lines=Lines(0, 30))])
    assert result.tests is not None
    assert result.tests.coverage == 25.0


def test_what_is_no_case_but_went_wrong_keeps_the_cases_from_being_all_there_is_to_run_again() -> None:
    result = verdict([report(BAD), Report("jest", failure="jest was ended by signal 9")])
    assert result.outcome is Outcome.FAILURE
    assert result.tests is not None
    assert [each.id for each in result.tests.failed_cases] == ["t.py::bad", ""]
    assert result.tests.failed + result.tests.errors != len(result.tests.failed_cases)


def test_a_runner_that_could_not_do_its_work_is_an_error_and_never_a_success() -> None:
    result = verdict([report(GOOD), Report("jest", error="jest found no tests")])
    assert result.outcome is Outcome.ERROR
    assert result.reason == "jest found no tests"
    assert "jest found no tests" in result.summary


def test_an_exit_status_alone_is_said_to_be_one_and_counts_no_cases() -> None:
    good = verdict([Report("npm", counted=False, exit_code=0)])
    assert good.outcome is Outcome.SUCCESS
    assert good.tests is None
    assert "only its exit status is known" in good.summary
    bad = verdict([Report("npm", counted=False, failure="npm test ended with exit code 3", exit_code=3)])
    assert (bad.outcome, bad.summary, bad.exit_code) == (
        Outcome.FAILURE,
        "npm test ended with exit code 3",
        3,
    )
