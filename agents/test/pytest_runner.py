"""Running pytest, and reading what it did.

Source: pytest, "Exit codes": 0 passed, 1 failed, 2 interrupted, 3 internal error, 4 usage error, 5 nothing collected.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.sdk.junit import Case, Status, one_line
from agents.sdk.python_env import PythonEnv, python_env
from agents.sdk.python_project import PythonProject, read_ini, read_python_project, read_toml
from agents.sdk.toolchain import open_folder, read_json, read_json_lines, written_by
from agents.sdk.workspace import ToolRun, Workspace
from agents.test import pytest_report
from agents.test.report import Asked, Lines, Report, ended_by_signal

TOOLS = {"pytest": ("pytest==9.2.0; python_version >= '3.10'", "pytest==8.3.5; python_version < '3.10'")}
"""What a project gets that has tests but does not say which pytest."""

COVERAGE = {
    "pytest-cov": ("pytest-cov==7.1.0; python_version >= '3.9'", "pytest-cov<7; python_version < '3.9'")
}

_NOT_SOURCES = {
    "tests",
    "test",
    "testing",
    "docs",
    "doc",
    "examples",
    "benchmarks",
    "build",
    "dist",
    "scripts",
}


def run_pytest(workspace: Workspace, asked: Asked) -> Report:
    """Raises: AgentError when pytest or the project cannot be installed."""
    project = read_python_project(asked.root, "test")
    tools = TOOLS | (COVERAGE if asked.measured else {})
    with python_env(
        workspace, project, cwd=asked.cwd, tools=tools, wanted=asked.options.python, install=asked.pip()
    ) as python:
        return _run(workspace, asked, project, python)


def _run(workspace: Workspace, asked: Asked, project: PythonProject, python: PythonEnv) -> Report:
    folder = workspace.scratch / "pytest"
    open_folder(folder)
    shutil.copy(pytest_report.__file__, folder / "turnout_pytest_report.py")
    coverage = folder / "coverage.json"
    argv = [python.python, "-m", "pytest", "-p", "turnout_pytest_report", *asked.options.args]
    if asked.measured:
        argv += [*_sources(asked.root, project), f"--cov-report=json:{coverage}", "--cov-report=term"]
    elif asked.only and python.has("pytest-cov"):
        argv.append(
            "--no-cov"
        )  # a part of the cases covers a part of the code: the project's threshold is for all
    path = ":".join(filter(None, [str(folder), python.env.get("PYTHONPATH", "")]))
    ran = workspace.run(
        [*argv, *(asked.only or asked.options.paths)],
        cwd=asked.cwd,
        env={
            **python.env,
            "PYTHONPATH": path,
            "TURNOUT_TEST_REPORT": str(folder / "report.jsonl"),
            "COVERAGE_FILE": str(folder / ".coverage"),
            "PYTHONUNBUFFERED": "1",
        },
    )
    versions = {"pytest": python.has("pytest") or "", "python": python.version}
    read = read_json_lines(folder, "report.jsonl") or ()
    return judge(ran, cases(read), versions, read_lines(folder), asked)


def judge(
    ran: ToolRun, found: tuple[Case, ...], tools: Mapping[str, str], lines: Lines | None, asked: Asked
) -> Report:
    """What pytest's exit code and the recorded cases say together. A case that failed counts, whatever the code."""
    bad = any(case.status in (Status.FAILED, Status.ERROR) for case in found)
    failure = error = ""
    match ran.code:
        case None:
            failure = f"pytest {ended_by_signal(ran)}"
        case 0:
            pass
        case 1 if not bad:
            failure = (
                "pytest says that it failed, but no case did (the project's own coverage threshold, perhaps)"
            )
        case 1:
            pass
        case 2 if not bad:
            error = "pytest was interrupted"
        case 2:
            pass  # cases could not be collected: they are among the errors
        case 3:
            error = "pytest had an internal error; the log has its words"
        case 4:
            error = "pytest could not start: an option that it does not know, or a conftest.py that cannot be imported"
        case 5:
            error = (
                ""
                if asked.options.allow_no_tests
                else ("pytest found no tests; name them with with.paths, or say `allow_no_tests: true`")
            )
        case other:
            error = f"pytest ended with the unknown exit code {other}"
    if asked.measured and lines is None and not error and not failure:
        error = "pytest-cov wrote no coverage report"
    return Report("pytest", found, tools, lines, failure, error, exit_code=ran.code)


@written_by("pytest's report")
def cases(lines: Iterable[Mapping[str, Any]]) -> tuple[Case, ...]:
    """One case a node id; the worst of its phases (setup, call, teardown, subtests) is its status.

    A case of which only a setup is known was running when pytest ended.
    """
    found: dict[str, Case] = {}
    running: set[str] = set()
    for line in lines:
        if line["outcome"] == "rerun":  # pytest-rerunfailures: the last try is reported as itself
            continue
        case = _case(line)
        if line["when"] == "setup" and line["outcome"] == "passed":
            running.add(case.id)
        else:
            running.discard(case.id)
        before = found.get(case.id)
        if before is not None:
            worst = max(before, case, key=lambda each: _ORDER[each.status])
            case = replace(worst, duration=before.duration + case.duration)
        found[case.id] = case
    cut = {
        name: replace(found[name], status=Status.ERROR, message="was running when pytest ended")
        for name in running
    }
    return tuple((found | cut).values())


_ORDER = {Status.PASSED: 0, Status.SKIPPED: 1, Status.ERROR: 2, Status.FAILED: 3}


def _case(line: Mapping[str, Any]) -> Case:
    file, _, rest = line["id"].partition("::")
    parts = _split(rest)
    module = file.removesuffix(".py").replace("/", ".")
    match line["outcome"]:
        case "passed":
            status = Status.PASSED
        case "skipped":
            status = Status.SKIPPED
        case _:
            status = Status.FAILED if line["when"] == "call" else Status.ERROR
    told = "" if status is Status.PASSED else line["message"] or _cause(line["details"])
    return Case(
        id=line["id"],
        name=parts[-1] or file,
        status=status,
        suite=".".join([module, *parts[:-1]]),
        file=file,
        duration=line["duration"],
        message=one_line(told),
        details="" if status is Status.PASSED else line["details"],
    )


def _cause(details: str) -> str:
    """The exception of a file that could not be imported; pytest's own first line only says that it couldn't."""
    marked = [line.removeprefix("E ").strip() for line in details.splitlines() if line.startswith("E ")]
    return marked[-1] if marked else details


def _split(rest: str) -> list[str]:
    """Class and function names; a parameter's id in brackets may itself hold ``::``."""
    names, bracket, parameter = rest.partition("[")
    parts = names.split("::")
    return [*parts[:-1], parts[-1] + bracket + parameter]


def _sources(root: Path, project: PythonProject) -> list[str]:
    """``--cov`` with what to measure: as the project's coverage settings say, otherwise its packages."""
    configured = project.pyproject.get("tool", {}).get("coverage", {}).get("run", {})
    if "source" in configured or "source_pkgs" in configured or (root / ".coveragerc").exists():
        return ["--cov"]
    packages = root / "src"
    if packages.is_dir() and not (packages / "__init__.py").exists():
        return ["--cov=src"]
    found = sorted(
        path.parent.name for path in root.glob("*/__init__.py") if path.parent.name not in _NOT_SOURCES
    )
    return [f"--cov={name}" for name in found] or ["--cov=."]


@written_by("the coverage report")
def read_lines(folder: Path) -> Lines | None:
    content = read_json(folder, "coverage.json")
    if not isinstance(content, dict):
        return None
    totals = content["totals"]
    return Lines(int(totals["covered_lines"]), int(totals["num_statements"]))


@written_by("the project's configuration")
def has_pytest_tests(root: Path) -> bool:
    """A configuration of pytest, or a file that it would collect."""
    if (root / "pytest.ini").exists() or "pytest" in read_toml(root / "pyproject.toml").get("tool", {}):
        return True
    if read_ini(root / "setup.cfg").has_section("tool:pytest") or read_ini(root / "tox.ini").has_section(
        "pytest"
    ):
        return True
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name for name in folders if name not in ("node_modules", "build", "dist") and name[0] != "."
        ]
        if (
            any(
                name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))
                for name in files
            )
            and not (Path(folder) / "pyvenv.cfg").exists()
        ):
            return True
    return False
