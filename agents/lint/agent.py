"""The lint agent: runs a repository's linters, and reports what they found as one list."""

from __future__ import annotations

from collections.abc import Callable

from agents.lint.asked import Asked
from agents.lint.discovery import linters
from agents.lint.eslint import run_eslint
from agents.lint.options import LintOptions
from agents.lint.pylint import run_pylint
from agents.lint.ruff import run_ruff
from agents.sdk import sarif
from agents.sdk.options import read_options
from agents.sdk.sarif import ToolFindings
from agents.sdk.toolchain import project_root
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome
from turnout.core.result import Findings, Result

RUN: dict[str, Callable[[Workspace, Asked], ToolFindings]] = {
    "pylint": run_pylint,
    "ruff": run_ruff,
    "eslint": run_eslint,
}


def run(task: TaskRequested, workspace: Workspace) -> Result:
    """Raises: AgentError when there is nothing to check with. A linter that could not do its work makes an ``error``,
    whatever the others found; what they found is told all the same.
    """
    options = read_options(LintOptions, task.options)
    options = options.with_(
        python=task.cell.get("python", options.python), node=task.cell.get("node", options.node)
    )
    asked = Asked(project_root(workspace, options.working_directory), options)
    tools: list[str] = [*options.tool] or linters(asked.root)
    if not tools:
        raise AgentError(
            f"found nothing to lint in {asked.cwd}: no Python, and no package.json with JavaScript",
            "name the linter with with.tool, and where to look with with.working_directory",
        )
    if options.args and len(tools) > 1:
        raise AgentError(
            f"with.args: there are {len(tools)} tools ({', '.join(tools)})", "name one with with.tool"
        )
    workspace.log(f"Linters: {', '.join(tools)}")
    done: list[ToolFindings] = []
    broken: list[AgentError] = []
    for tool in tools:
        try:
            done.append(RUN[tool](workspace, asked))
        except AgentError as error:
            if len(tools) == 1:
                raise
            broken.append(error)
    result = verdict(done, options.fail_on, broken)
    artifact = workspace.artifact("lint.sarif", sarif.render(done), sarif.MEDIA_TYPE)
    return result.with_(artifacts=(artifact,))


def verdict(done: list[ToolFindings], fail_on: str, broken: list[AgentError]) -> Result:
    """Pure. ``broken``: why a linter could not do its work."""
    findings = sarif.summarize(done)
    failing = 0 if fail_on == "never" else sarif.at_least(findings.counts, fail_on)
    reason = "; ".join(map(str, broken))
    outcome = Outcome.ERROR if broken else Outcome.FAILURE if failing else Outcome.SUCCESS
    return Result(
        outcome=outcome,
        summary=f"{reason}; {_summary(findings, done)}" if broken else _summary(findings, done),
        reason=reason,
        findings=findings,
        tools={each.tool: each.version for each in done},
    )


def _summary(findings: Findings, done: list[ToolFindings]) -> str:
    names = " and ".join(each.tool for each in done)
    total = sum(findings.counts.values())
    if not total:
        return f"{names} found nothing"
    counted = ", ".join(f"{count} {severity}" for severity, count in findings.counts.items())
    return f"{names} found {total}: {counted}"
