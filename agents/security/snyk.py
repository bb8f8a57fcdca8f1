"""Running Snyk's command line.

Its exit codes: 0 nothing found, 1 something found, 2 it could not run, 3 nothing to test. It is started as what npm's
package has in ``dist``: the package's own wrapper ends with 0 when it cannot fetch its program.
Source: Snyk, "CLI commands: test", exit codes; github.com/snyk/cli, src/cli/exit-codes.ts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.sdk.dependency_cache import digest, held
from agents.sdk.inside import read_inside
from agents.sdk.installing import installer_environment
from agents.sdk.interpreter import Interpreter, find_node
from agents.sdk.operator_paths import SNYK
from agents.sdk.sarif import ToolFindings
from agents.sdk.toolchain import path_with, written_by
from agents.sdk.workspace import AgentError, ToolRun, Workspace
from agents.security import snyk_report
from agents.security.scanning import Asked, Scanned, bounded, ended
from turnout.core.strict_json import read_json

VERSION = "1.1307.4"
TOKEN = "SNYK_TOKEN"  # noqa: S105 - its name
FOUND_NOTHING, FOUND, NOTHING_TO_TEST = 0, 1, 3


class NothingToTest(AgentError):
    """There is no project in the folder that the scanner knows."""


def run_snyk(workspace: Workspace, asked: Asked) -> Scanned:
    """Raises: AgentError when it has no token, cannot be installed, or did not do its work; NothingToTest."""
    if not asked.token:
        raise AgentError(
            f"snyk has no token: {TOKEN} is not among the stage's secrets",
            f"say `secrets: [{TOKEN}]`, and bind it in the project file (a fork is given none)",
        )
    node = find_node(workspace, asked.root, asked.options.node)
    with _package(workspace, asked, node) as package:
        argv = [node.path, str(package / "dist/cli/index.js"), "test", "--json"]
        argv += ["--dev"] if asked.options.dev_dependencies else []
        argv += ["--all-projects"] if asked.options.all_projects else []
        if asked.options.all_projects and asked.options.skip:
            argv.append(f"--exclude={','.join(asked.options.skip)}")
        ran = workspace.run(
            argv,
            cwd=asked.cwd,
            env={
                "PATH": path_with(Path(node.path).parent),
                "SNYK_DISABLE_ANALYTICS": "1",
                "SNYK_CFG_DISABLESUGGESTIONS": "true",
                "NO_UPDATE_NOTIFIER": "1",
            },
            timeout=asked.options.time_limit,
            network=True,
            capture=True,
        )
        ended("snyk", ran, asked.options.time_limit)
        return _answer(ran, asked, _version(package))


def _answer(ran: ToolRun, asked: Asked, version: str) -> Scanned:
    match ran.code:
        case code if code == NOTHING_TO_TEST:
            raise NothingToTest(
                f"snyk found no project that it knows in {asked.cwd}",
                "say with.working_directory or with.all_projects",
            )
        case code if code in (FOUND_NOTHING, FOUND):
            report = snyk_report.read(_parsed(ran.stdout), asked.cwd)
        case _:
            said = snyk_report.said(ran.stdout)
            raise AgentError(f"snyk could not run (exit code {ran.code}{said})", "see the log for its words")
    if ran.code == FOUND and not report.findings and not report.filtered:
        raise AgentError(
            "snyk says that it found something, and its report has nothing", "see the log for its words"
        )
    if ran.code == FOUND_NOTHING and report.findings:
        raise AgentError(
            "snyk says that it found nothing, and its report has something", "see the log for its words"
        )
    remarks = [f"snyk checked {report.dependencies} dependencies of {report.projects} projects"]
    if report.filtered:
        remarks.append(f"{report.filtered} findings are ignored by Snyk's own policy")
    findings = bounded("snyk", report.findings)
    helps = {each.rule: each.url for each in findings if each.url}
    return Scanned(ToolFindings("snyk", version, findings, "https://snyk.io", helps), tuple(remarks))


@written_by("snyk's report")
def _parsed(content: bytes) -> Any:
    return read_json(content)


@contextmanager
def _package(workspace: Workspace, asked: Asked, node: Interpreter) -> Iterator[Path]:
    """The folder of npm's package: the operator's, or one that is installed once and kept for the project."""
    given = asked.operator.get(SNYK)
    if given:
        if not (Path(given) / "dist/cli/index.js").is_file():
            raise AgentError(
                f"{SNYK}={given} is no folder of npm's package snyk", "it must hold dist/cli/index.js"
            )
        yield Path(given)
        return
    beside = Path(node.path).parent / "npm"
    npm = str(beside) if beside.exists() else workspace.which("npm")
    if npm is None:
        raise AgentError(
            "there is no npm where this stage runs", f"install npm, or give the agents {SNYK}=FOLDER"
        )

    def build(folder: Path) -> None:
        workspace.log(f"Installing snyk@{VERSION} (kept for the next time)")
        (folder / "package.json").write_text(json.dumps({"name": "tools", "private": True}))
        # without its script: that fetches another program, from outside the registry, which is not needed
        argv = [npm, "install", "--ignore-scripts", "--no-save", "--no-package-lock", f"snyk@{VERSION}"]
        env = {
            "PATH": path_with(Path(node.path).parent),
            **installer_environment(workspace.cache / "downloads"),
        }
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(folder), *argv]
        ran = workspace.run(inside, env=env, network=True, writable_cache=True, quiet=True)
        if not ran.ok:
            raise AgentError(
                "npm could not install snyk (its words are in the log)",
                "see that the registry can be reached",
            )

    with held(workspace, "node", digest(["snyk", VERSION, node.version]), build) as entry:
        yield entry / "node_modules/snyk"


@written_by("snyk's package.json")
def _version(package: Path) -> str:
    content = read_inside(package, "package.json")
    return str(json.loads(content)["version"]) if content else ""
