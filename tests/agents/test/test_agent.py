"""The agent as a whole, on small Python projects that need no installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.sdk.workspace import AgentError
from agents.test.agent import run
from tests.agents.workspace import PlainWorkspace, task, write
from turnout.core.model import Outcome
from turnout.core.result import FailedCase, Result
from turnout.core.result import Tests as Counts

pytestmark = pytest.mark.usefixtures("installed")

FLAKY = """
import pathlib
MARK = pathlib.Path(__file__).with_name("mark")

def test_flaky():
    seen = MARK.exists()
    MARK.touch()
    assert seen

def test_steady(): pass
"""


def attempt(workspace: PlainWorkspace, before: Result | None = None, **options: Any) -> Result:
    fields: dict[str, Any] = {}
    if before is not None and before.tests is not None:
        counts = before.tests.with_(failed_cases=())
        fields = {"previous_failed": before.tests.failed_cases, "previous_tests": counts, "number": 2}
    return run(task("test", options, **fields), workspace)


def ids(workspace: PlainWorkspace) -> list[str]:
    """What pytest was asked to run, the last time."""
    argv = next(argv for argv in reversed(workspace.ran) if "pytest" in argv)
    return [each for each in argv if "::" in each]


def test_only_what_failed_is_run_again_and_what_passes_then_is_flaky(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    write(workspace.path, {"test_it.py": FLAKY})
    first = attempt(workspace, retry="failed-tests")
    assert (first.outcome, first.summary) == (Outcome.FAILURE, "1 of 2 tests failed")
    second = attempt(workspace, first, retry="failed-tests")
    assert ids(workspace) == ["test_it.py::test_flaky"]
    assert second.outcome is Outcome.SUCCESS
    assert second.tests is not None
    assert second.tests.flaky == ("test_it.py::test_flaky",)
    assert (second.tests.total, second.tests.passed, second.tests.failed) == (2, 2, 0)
    assert [artifact.name for artifact in second.artifacts] == ["junit.xml"]
    assert b'tests="1"' in workspace.kept["junit.xml"]


def test_everything_runs_again_unless_only_failures_are_asked_for(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    write(workspace.path, {"test_it.py": FLAKY})
    second = attempt(workspace, attempt(workspace))
    assert ids(workspace) == []
    assert second.summary == "2 tests passed, 1 flaky"


def failed(id: str, coverage: float | None = None) -> Counts:
    return Counts(failed=1, coverage=coverage, failed_cases=(FailedCase(id=id, name="it"),))


@pytest.mark.parametrize(
    ("before", "options"),
    [
        (Counts(failed=1, failed_cases=(FailedCase(id="", name="jest broke"),)), {}),
        (Counts(failed=1, failed_cases=(FailedCase(id="test_it.py::test_gone", name="gone"),)), {}),
        (
            Counts(failed=1, coverage=10.0, failed_cases=(FailedCase(id="test_it.py::test_a", name="a"),)),
            {"coverage_min": 50},
        ),
    ],
    ids=["something that is no case", "a case that is gone", "coverage was too low"],
)
def test_everything_runs_again_where_the_failures_alone_would_not_show_enough(
    tmp_path: Path, before: Counts, options: dict[str, Any]
) -> None:
    workspace = PlainWorkspace(tmp_path)
    write(workspace.path, {"test_it.py": "def test_a(): pass\ndef test_b(): pass\n"})
    result = attempt(
        workspace, Result(outcome=Outcome.FAILURE, tests=before), retry="failed-tests", **options
    )
    assert ids(workspace) == []
    assert result.tests is not None
    assert result.tests.total == 2


def test_the_matrix_cell_picks_the_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = PlainWorkspace(tmp_path)
    write(workspace.path, {"test_it.py": "def test_a(): pass\n"})
    asked: list[str] = []

    def report(_: Any, given: Any) -> Any:
        asked.append(given.options.python)
        raise AgentError("enough seen")

    monkeypatch.setattr("agents.test.agent.run_pytest", report)
    with pytest.raises(AgentError, match="enough seen"):
        run(task("test", {"python": "3.11"}, cell={"python": "3.12", "os": "x"}), workspace)
    assert asked == ["3.12"]


def test_a_repository_without_tests_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    write(workspace.path, {"README": ""})
    with pytest.raises(AgentError, match=r"found no tests in \..*with\.runner"):
        attempt(workspace)


def test_a_working_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"with\.working_directory: there is no folder app"):
        attempt(PlainWorkspace(tmp_path), working_directory="app")


def test_a_runner_that_the_project_has_nothing_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"jest: there is no package\.json"):
        attempt(PlainWorkspace(tmp_path), runner="jest")
