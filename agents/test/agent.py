"""The test agent: runs a project's tests with its own runner, counts the cases, and runs again what failed."""

from __future__ import annotations

from agents.sdk import junit
from agents.sdk.options import read_options
from agents.sdk.toolchain import project_root
from agents.sdk.workspace import AgentError, Workspace
from agents.test.javascript_runner import javascript_runners, run_javascript
from agents.test.options import SuiteOptions
from agents.test.pytest_runner import has_pytest_tests, run_pytest
from agents.test.report import Asked, Report
from agents.test.verdict import verdict
from turnout.core.messages import TaskRequested
from turnout.core.result import FailedCase, Result

WITHOUT_SELECTION = ("node", "npm")
"""Runners that cannot be given single cases: all of theirs run again."""


def run(task: TaskRequested, workspace: Workspace) -> Result:
    """Raises: AgentError when the tests could not be run at all."""
    options = read_options(SuiteOptions, task.options)
    options = options.with_(
        python=task.cell.get("python", options.python), node=task.cell.get("node", options.node)
    )
    asked = Asked(project_root(workspace, options.working_directory), options)
    runners: list[str] = [*options.runner] or _discovered(asked)
    workspace.log(f"Tests: {', '.join(runners)}")
    only = _to_run_again(task, options, runners)
    reports = _run_again(workspace, asked, runners, only) if only else ()
    if not reports:
        only = ()
        reports = tuple(_report(workspace, asked, runner) for runner in runners)
    result = verdict(
        reports,
        previous_failed=task.previous_failed,
        previous=task.previous_tests,
        only=only,
        coverage_min=options.coverage_min,
    )
    suites = [(report.runner, report.cases) for report in reports if report.counted]
    artifacts = (workspace.artifact("junit.xml", junit.render(suites), junit.MEDIA_TYPE),) if suites else ()
    return result.with_(artifacts=artifacts)


def _discovered(asked: Asked) -> list[str]:
    found = (["pytest"] if has_pytest_tests(asked.root) else []) + javascript_runners(asked.root)
    if not found:
        raise AgentError(
            f"found no tests in {asked.cwd}: no pytest configuration or test_*.py, and no test script in package.json",
            "name the runner with with.runner, and where to look with with.working_directory",
        )
    return found


def _to_run_again(task: TaskRequested, options: SuiteOptions, runners: list[str]) -> tuple[str, ...]:
    """Ids of the cases that are to be run again alone; empty: everything is to run."""
    failed = task.previous_failed
    if options.retry != "failed-tests" or not failed or not all(case.id for case in failed):
        return ()
    before = task.previous_tests
    if options.coverage_min and (before is None or (before.coverage or 0.0) < options.coverage_min):
        return ()  # only a whole run can show that the coverage suffices
    if any(runner in WITHOUT_SELECTION and _ids(failed, runner) for runner in runners):
        return ()
    return tuple(case.id for case in failed)


def _ids(failed: tuple[FailedCase, ...], runner: str) -> tuple[str, ...]:
    """Which of the cases are this runner's: pytest's are in Python files, all others' are not."""
    python = runner == "pytest"
    return tuple(case.id for case in failed if case.id.partition("::")[0].endswith(".py") is python)


def _run_again(
    workspace: Workspace, asked: Asked, runners: list[str], only: tuple[str, ...]
) -> tuple[Report, ...]:
    """Empty where not every one of the cases could be found again: then everything is to run."""
    cases = tuple(FailedCase(id=each, name=each) for each in only)
    workspace.log(f"Running again only what failed before: {len(only)}")
    mine = [(runner, _ids(cases, runner)) for runner in runners]
    reports = tuple(
        _report(workspace, Asked(asked.root, asked.options, ids), runner) for runner, ids in mine if ids
    )
    seen = {name for report in reports for case in report.cases for name in (case.id, case.file)}
    if set(only) <= seen:
        return reports
    workspace.log(f"Not found again: {', '.join(sorted(set(only) - seen))}; running everything")
    return ()


def _report(workspace: Workspace, asked: Asked, runner: str) -> Report:
    return run_pytest(workspace, asked) if runner == "pytest" else run_javascript(workspace, asked, runner)
