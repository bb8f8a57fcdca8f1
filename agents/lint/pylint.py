"""Running Pylint.

Source: Pylint, "Exit codes": the bits 1 fatal, 2 error, 4 warning, 8 refactor, 16 convention, 32 usage error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.lint.asked import Asked, place
from agents.lint.discovery import python_sources
from agents.sdk.python_env import python_env
from agents.sdk.python_project import read_python_project
from agents.sdk.sarif import ToolFindings
from agents.sdk.toolchain import read_json, written_by
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.result import Finding

TOOLS = {"pylint": ("pylint==4.1.4; python_version >= '3.10'", "pylint==3.3.9; python_version < '3.10'")}
USAGE_ERROR = 32

_SEVERITIES = {
    "fatal": "critical",
    "error": "high",
    "warning": "medium",
    "refactor": "low",
    "convention": "low",
    "info": "note",
}


def run_pylint(workspace: Workspace, asked: Asked) -> ToolFindings:
    """Raises: AgentError when Pylint cannot be installed, or did not do its work."""
    project = read_python_project(asked.root, "lint")
    report = workspace.scratch / "pylint.json"
    report.unlink(missing_ok=True)
    with python_env(
        workspace, project, cwd=asked.cwd, tools=TOOLS, wanted=asked.options.python, install=asked.pip()
    ) as python:
        version = python.has("pylint") or ""
        paths = list(asked.options.paths) or python_sources(asked.root)
        if not paths:
            raise AgentError(
                "pylint: there is no Python to check", "say with.paths or with.working_directory"
            )
        ran = workspace.run(
            [
                python.python,
                "-m",
                "pylint",
                f"--output-format=json:{report},text",
                *asked.options.args,
                *paths,
            ],
            cwd=asked.cwd,
            env={**python.env, "PYLINTHOME": str(workspace.scratch / "pylint-home")},
        )
    if ran.code is None or ran.code & USAGE_ERROR:
        ended = f"exit code {ran.code}" if ran.code is not None else f"signal {ran.signal}"
        raise AgentError(
            f"pylint could not check the code ({ended})",
            "correct its configuration or with.args; see the log",
        )
    findings = read(report, asked.cwd)
    return ToolFindings(
        "pylint",
        version,
        findings,
        home="https://pylint.readthedocs.io",
        helps={each.rule: _page(each.rule, each.severity) for each in findings},
    )


@written_by("pylint's report")
def read(report: Path, cwd: str) -> tuple[Finding, ...]:
    """Raises: AgentError when there is no report to read."""
    messages: Sequence[dict[str, Any]] = read_json(report.parent, report.name)
    if not isinstance(messages, list):
        raise AgentError("pylint wrote no report that can be read", "see the log for its words")
    return tuple(_finding(message, cwd) for message in messages)


def _finding(message: dict[str, Any], cwd: str) -> Finding:
    return Finding(
        rule=str(message.get("symbol") or message["message-id"]),
        severity=_SEVERITIES.get(message["type"], "medium"),
        message=str(message["message"]),
        path=place(cwd, str(message.get("path", ""))),
        line=int(message.get("line") or 0),
        column=int(message.get("column") or 0) + 1,  # Pylint counts columns from 0
    )


def _page(rule: str, severity: str) -> str:
    kind = {"critical": "fatal", "high": "error", "medium": "warning"}.get(severity)
    return f"https://pylint.readthedocs.io/en/stable/user_guide/messages/{kind}/{rule}.html" if kind else ""
