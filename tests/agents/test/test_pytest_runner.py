"""pytest really runs here, on small projects; only the installation is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.sdk.junit import Status
from agents.sdk.workspace import ToolRun
from agents.test.options import SuiteOptions
from agents.test.pytest_runner import cases, has_pytest_tests, judge, run_pytest
from agents.test.report import Asked, Lines, Report
from tests.agents.workspace import PlainWorkspace, write

pytestmark = pytest.mark.usefixtures("installed")

SUITE = """
import pytest

def test_good(): pass

def test_bad(): assert 1 == 2, "they differ"

@pytest.mark.skip(reason="not today")
def test_skipped(): pass

@pytest.mark.xfail
def test_expected(): assert False

@pytest.fixture
def broken(): raise OSError("no fixture")

def test_error(broken): pass

@pytest.fixture
def closes_badly():
    yield
    raise OSError("teardown")

def test_good_but_closes_badly(closes_badly): pass

class TestOne:
    @pytest.mark.parametrize("value", ["a::b[c]", 2])
    def test_param(self, value): assert value != 2
"""


def run(tmp_path: Path, files: dict[str, str], only: tuple[str, ...] = (), **options: Any) -> Report:
    workspace = PlainWorkspace(tmp_path)
    write(workspace.path, files)
    given = SuiteOptions.model_validate(options)
    return run_pytest(workspace, Asked(workspace.path / given.working_directory, given, only))


def test_every_case_has_one_status_and_an_id_that_runs_it_again(tmp_path: Path) -> None:
    report = run(tmp_path, {"test_it.py": SUITE})
    assert {case.id: case.status.value for case in report.cases} == {
        "test_it.py::test_good": "passed",
        "test_it.py::test_bad": "failed",
        "test_it.py::test_skipped": "skipped",
        "test_it.py::test_expected": "skipped",
        "test_it.py::test_error": "error",
        "test_it.py::test_good_but_closes_badly": "error",
        "test_it.py::TestOne::test_param[a::b[c]]": "passed",
        "test_it.py::TestOne::test_param[2]": "failed",
    }
    assert (report.exit_code, report.failure, report.error) == (1, "", "")
    bad = next(case for case in report.cases if case.name == "test_bad")
    assert bad.message == "AssertionError: they differ"
    assert "assert 1 == 2" in bad.details
    param = next(case for case in report.cases if case.id.endswith("[a::b[c]]"))
    assert (param.suite, param.name) == ("test_it.TestOne", "test_param[a::b[c]]")
    skipped = next(case for case in report.cases if case.name == "test_skipped")
    assert skipped.message == "Skipped: not today"


def test_only_the_cases_asked_for_run_again_by_their_ids(tmp_path: Path) -> None:
    ids = ("test_it.py::test_good", "test_it.py::TestOne::test_param[a::b[c]]")
    report = run(tmp_path, {"test_it.py": SUITE}, only=ids)
    assert tuple(case.id for case in report.cases) == ids
    assert report.exit_code == 0


def test_a_file_that_cannot_be_imported_is_the_codes_fault_and_named(tmp_path: Path) -> None:
    report = run(
        tmp_path, {"test_it.py": "import nothing_of_this_name\n", "test_other.py": "def test_ok(): pass\n"}
    )
    assert [(case.id, case.status) for case in report.cases] == [("test_it.py", Status.ERROR)]
    assert "nothing_of_this_name" in report.cases[0].message
    assert (report.exit_code, report.failure, report.error) == (2, "", "")


def test_no_tests_are_an_error_unless_that_is_allowed(tmp_path: Path) -> None:
    files = {"test_it.py": "x = 1\n"}
    assert "pytest found no tests" in run(tmp_path / "a", files).error
    assert run(tmp_path / "b", files, allow_no_tests=True).error == ""


def test_an_option_that_pytest_does_not_know_is_an_error_and_no_failed_test(tmp_path: Path) -> None:
    report = run(tmp_path, {"test_it.py": "def test_ok(): pass\n"}, args=["--no-such-option"])
    assert "pytest could not start" in report.error
    assert report.exit_code == 4


def test_a_crash_of_the_process_is_a_failure_with_the_cases_until_then(tmp_path: Path) -> None:
    code = "import os, signal\ndef test_ok(): pass\ndef test_dies(): os.kill(os.getpid(), signal.SIGSEGV)\n"
    report = run(tmp_path, {"test_it.py": code})
    assert report.failure == "pytest was ended by signal 11"
    assert [(case.id, case.message) for case in report.cases] == [
        ("test_it.py::test_ok", ""),
        ("test_it.py::test_dies", "was running when pytest ended"),
    ]


def test_coverage_is_in_lines_of_the_projects_packages(tmp_path: Path) -> None:
    files = {
        "shop/__init__.py": "def used():\n    return 1\n\ndef unused():\n    return 2\n",
        "tests/__init__.py": "",
        "tests/test_it.py": "import shop\ndef test_ok(): assert shop.used()\n",
    }
    report = run(tmp_path, files, coverage=True)
    assert report.lines == Lines(3, 4)
    assert report.error == ""


def test_ids_are_from_the_folder_in_which_pytest_starts_also_where_its_root_is_above(tmp_path: Path) -> None:
    files = {
        "pytest.ini": "[pytest]\n",
        "pkg/tests/test_it.py": "def test_ok(): pass\ndef test_no(): assert 0\n",
    }
    report = run(tmp_path, files, working_directory="pkg")
    assert [case.id for case in report.cases] == ["tests/test_it.py::test_ok", "tests/test_it.py::test_no"]
    again = run(tmp_path, files, only=("tests/test_it.py::test_no",), working_directory="pkg")
    assert [case.id for case in again.cases] == ["tests/test_it.py::test_no"]


# --- pure -------------------------------------------------------------------------------------------


def line(id: str, outcome: str, when: str = "call", **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "when": when,
        "outcome": outcome,
        "xfail": False,
        "duration": 0.5,
        "message": "",
        "details": "",
    } | more


def test_the_worst_phase_of_a_case_is_its_status_and_durations_add_up() -> None:
    phases = [
        line("t.py::a", "passed", "setup"),
        line("t.py::a", "failed"),
        line("t.py::a", "failed", "teardown"),
    ]
    (case,) = cases(phases)
    assert (case.status, case.duration) == (Status.FAILED, 1.5)


def test_a_case_that_a_plugin_runs_again_counts_by_its_last_try() -> None:
    (case,) = cases([line("t.py::a", "rerun"), line("t.py::a", "passed")])
    assert case.status is Status.PASSED


@pytest.mark.parametrize(
    ("code", "failure", "error"),
    [
        (0, "", ""),
        (1, "no case did", ""),
        (2, "", "interrupted"),
        (3, "", "internal error"),
        (4, "", "could not start"),
        (5, "", "found no tests"),
        (99, "", "unknown exit code 99"),
    ],
)
def test_exit_codes_are_told_apart(tmp_path: Path, code: int, failure: str, error: str) -> None:
    found = cases([line("t.py::a", "passed")])
    report = judge(ToolRun(("pytest",), code), found, {}, None, Asked(tmp_path, SuiteOptions()))
    assert failure in report.failure
    assert error in report.error
    assert bool(report.failure or report.error) is (code != 0)


def test_running_out_of_memory_says_what_to_change(tmp_path: Path) -> None:
    ran = ToolRun(("pytest",), None, 9, oom_killed=True)
    report = judge(ran, (), {}, None, Asked(tmp_path, SuiteOptions()))
    assert "resources: {memory: …}" in report.failure


def test_missing_coverage_is_an_error_and_never_counts_as_enough(tmp_path: Path) -> None:
    asked = Asked(tmp_path, SuiteOptions(coverage_min=80))
    report = judge(ToolRun(("pytest",), 0), cases([line("t.py::a", "passed")]), {}, None, asked)
    assert "no coverage report" in report.error


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"pytest.ini": ""}, True),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, True),
        ({"setup.cfg": "[tool:pytest]\n"}, True),
        ({"tox.ini": "[pytest]\n"}, True),
        ({"a/b/test_x.py": ""}, True),
        ({"a/b/x_test.py": ""}, True),
        ({"node_modules/x/test_x.py": ""}, False),
        ({"env/pyvenv.cfg": "", "env/test_x.py": ""}, False),
        ({"x.py": "", "tests.js": ""}, False),
    ],
)
def test_a_project_with_tests_for_pytest_is_recognised(
    tmp_path: Path, files: dict[str, str], found: bool
) -> None:
    write(tmp_path, files)
    assert has_pytest_tests(tmp_path) is found
