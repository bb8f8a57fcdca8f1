"""Running Ruff, for repositories that configure it.

Source: Ruff, "Exit codes": 0 nothing found, 1 something found, 2 it ended abnormally.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.lint.asked import Asked, inside
from agents.sdk.python_env import python_env
from agents.sdk.python_project import read_python_project
from agents.sdk.sarif import ToolFindings
from agents.sdk.toolchain import read_json, written_by
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.result import Finding

TOOLS = {"ruff": ("ruff==0.17.6",)}


def run_ruff(workspace: Workspace, asked: Asked) -> ToolFindings:
    """Raises: AgentError when Ruff cannot be installed, or did not do its work."""
    report = workspace.scratch / "ruff.json"
    report.unlink(missing_ok=True)
    project = read_python_project(asked.root, "lint")
    tools = {"ruff": (f"ruff=={pinned}",)} if (pinned := _pinned(project.constraints)) else TOOLS
    with python_env(
        workspace,
        project,
        cwd=asked.cwd,
        tools=tools,
        wanted=asked.options.python,
        install=asked.pip(),
        bare=True,
    ) as python:
        version = python.has("ruff") or ""
        argv = [str(Path(python.python).parent / "ruff"), "check", "--no-cache", *asked.options.args]
        paths = asked.options.paths or (".",)
        ran = workspace.run(
            [*argv, "--output-format=json", f"--output-file={report}", *paths], cwd=asked.cwd, env=python.env
        )
    if ran.code not in (0, 1):
        raise AgentError(
            "ruff could not check the code", "correct its configuration or with.args; see the log"
        )
    found = read(report, asked)
    for finding, _ in found:
        workspace.log(f"{finding.path}:{finding.line}:{finding.column}: {finding.rule} {finding.message}")
    findings = tuple(finding for finding, _ in found)
    helps = {finding.rule: page for finding, page in found if page}
    return ToolFindings("ruff", version, findings, home="https://docs.astral.sh/ruff", helps=helps)


def _pinned(constraints: tuple[str, ...]) -> str:
    """The version of Ruff in the project's lock."""
    return next((each.removeprefix("ruff==") for each in constraints if each.startswith("ruff==")), "")


@written_by("ruff's report")
def read(report: Path, asked: Asked) -> list[tuple[Finding, str]]:
    """Findings, each with its rule's page. Raises: AgentError when there is no report to read."""
    content: list[dict[str, Any]] = read_json(report.parent, report.name)
    if not isinstance(content, list):
        raise AgentError("ruff wrote no report that can be read", "see the log for its words")
    return [(_finding(each, asked), str(each.get("url") or "")) for each in content]


def _finding(each: dict[str, Any], asked: Asked) -> Finding:
    place = each.get("location") or {}
    broken = each.get("code") in (
        None,
        "invalid-syntax",
    )  # a file that cannot be parsed has no rule in older versions
    return Finding(
        rule=str(each.get("code") or "invalid-syntax"),
        severity="critical" if broken else "high",
        message=str(each.get("message", "")),
        path=inside(asked.root, asked.cwd, str(each.get("filename", ""))),
        line=int(place.get("row") or 0),
        column=int(place.get("column") or 0),
    )
