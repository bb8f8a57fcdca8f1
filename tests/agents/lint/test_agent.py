"""Ruff really runs here, the one these tests are checked with; Pylint and ESLint have their own tests."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.lint import agent, ruff
from agents.lint.agent import run, verdict
from agents.sdk.python_env import PythonEnv
from agents.sdk.sarif import ToolFindings
from agents.sdk.workspace import AgentError
from tests.agents.workspace import PlainWorkspace, task, write
from turnout.core.model import Outcome
from turnout.core.result import Finding, Result

BAD = {"ruff.toml": 'lint.select = ["F"]\n', "app/shop.py": "import os\n", "app/broken.py": "def (:\n"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlainWorkspace:
    @contextmanager
    def here(*_: Any, **__: Any) -> Iterator[PythonEnv]:
        yield PythonEnv(sys.executable, "3.11", (Path(sysconfig.get_paths()["purelib"]),), {})

    monkeypatch.setattr(ruff, "python_env", here)
    return PlainWorkspace(tmp_path)


def lint(workspace: PlainWorkspace, files: dict[str, str], **options: Any) -> Result:
    write(workspace.path, files)
    return run(task("lint", options), workspace)


def test_findings_fail_the_stage_and_are_kept_as_sarif(workspace: PlainWorkspace) -> None:
    result = lint(workspace, BAD)
    assert result.outcome is Outcome.FAILURE
    assert result.findings is not None
    assert result.findings.counts["critical"] >= 1
    assert result.findings.counts["high"] == 1
    worst = result.findings.named[0]
    assert (worst.severity, worst.path, worst.line) == ("critical", "app/broken.py", 1)
    unused = result.findings.named[-1]
    assert (unused.rule, unused.severity, unused.path, unused.line) == ("F401", "high", "app/shop.py", 1)
    assert result.summary.startswith("ruff found ")
    assert [artifact.name for artifact in result.artifacts] == ["lint.sarif"]
    sarif = json.loads(workspace.kept["lint.sarif"])
    (rule,) = [each for each in sarif["runs"][0]["tool"]["driver"]["rules"] if each["id"] == "F401"]
    assert rule["helpUri"].endswith("/rules/unused-import")
    assert "app/shop.py:1:8: F401" in workspace.text


def test_a_clean_repository_is_a_success(workspace: PlainWorkspace) -> None:
    result = lint(workspace, {"ruff.toml": "", "shop.py": "x = 1\n"})
    assert (result.outcome, result.summary) == (Outcome.SUCCESS, "ruff found nothing")
    assert result.tools.keys() == {"ruff"}


def test_a_configuration_that_the_tool_refuses_is_an_error_and_no_success(workspace: PlainWorkspace) -> None:
    with pytest.raises(AgentError, match="ruff could not check the code"):
        lint(workspace, {"ruff.toml": "no-such-setting = 1\n", "shop.py": "x = 1\n"})


def test_paths_are_from_the_root_of_the_repository_also_in_a_folder(workspace: PlainWorkspace) -> None:
    files = {f"sub/{name}": content for name, content in BAD.items()}
    result = lint(workspace, files, working_directory="sub", paths=["app/shop.py"], fail_on="never")
    assert result.outcome is Outcome.SUCCESS
    assert result.findings is not None
    assert [each.path for each in result.findings.named] == ["sub/app/shop.py"]


def test_nothing_to_lint_is_an_error_that_says_what_was_looked_for(workspace: PlainWorkspace) -> None:
    with pytest.raises(AgentError, match=r"found nothing to lint.*with\.tool"):
        lint(workspace, {"README": ""})


def test_arguments_for_several_tools_at_once_are_refused(workspace: PlainWorkspace) -> None:
    with pytest.raises(AgentError, match=r"with\.args: there are 2 tools \(ruff, pylint\)"):
        lint(workspace, BAD, tool=["ruff", "pylint"], args=["--fix"])


def test_a_linter_that_could_not_work_is_an_error_although_another_found_nothing(
    workspace: PlainWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> ToolFindings:
        raise AgentError("pylint could not check the code", "see the log")

    monkeypatch.setitem(agent.RUN, "pylint", broken)
    result = lint(workspace, {"ruff.toml": "", "shop.py": "x = 1\n"}, tool=["ruff", "pylint"])
    assert result.outcome is Outcome.ERROR
    assert result.reason == "pylint could not check the code (see the log)"
    assert "ruff found nothing" in result.summary


@pytest.mark.parametrize(
    ("fail_on", "outcome"),
    [
        ("critical", "success"),
        ("high", "success"),
        ("medium", "failure"),
        ("low", "failure"),
        ("never", "success"),
    ],
)
def test_the_threshold_decides(fail_on: str, outcome: str) -> None:
    found = ToolFindings("pylint", "4", (Finding(rule="W0613", severity="medium", message="unused"),))
    assert verdict([found], fail_on, []).outcome == outcome


def test_the_tools_own_words_are_taken_as_thresholds(workspace: PlainWorkspace) -> None:
    assert lint(workspace, BAD, fail_on="fatal", paths="app/shop.py").outcome is Outcome.SUCCESS
    assert lint(workspace, BAD, fail_on="error", paths="app/shop.py").outcome is Outcome.FAILURE
    with pytest.raises(AgentError, match=r"with\.fail_on: expected 'critical'"):
        lint(workspace, BAD, fail_on="worst")
