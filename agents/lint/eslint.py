"""Running ESLint, with the repository's configuration or, where it has none, with ESLint's recommended rules.

Source: ESLint, "Exit codes": 0 no errors, 1 errors found, 2 it could not run (configuration, crash).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.lint.asked import Asked, inside
from agents.lint.discovery import eslint_config
from agents.sdk.node_env import NodeEnv, node_env
from agents.sdk.package_json import read_package_json
from agents.sdk.sarif import ToolFindings
from agents.sdk.toolchain import put, read_json, written_by
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.result import Finding

ESLINT = {"eslint": "eslint@9.39.5"}
RECOMMENDED = {"@eslint/js": "@eslint/js@9.39.5", "globals": "globals@16.3.0"}

_CONFIG = """import {{ createRequire }} from 'node:module';
const require = createRequire({base});
const js = require('@eslint/js');
const globals = require('globals');
const rules = js.configs.recommended.rules;
const known = {{ ...globals.node, ...globals.browser, ...globals.jest, ...globals.mocha }};
export default [
  {{ ignores: ['**/dist/**', '**/build/**', '**/coverage/**', '**/*.min.js'] }},
  {{ files: ['**/*.js', '**/*.cjs', '**/*.mjs', '**/*.jsx'], rules,
     languageOptions: {{ globals: known, parserOptions: {{ ecmaFeatures: {{ jsx: true }} }} }} }},
  {{ files: ['**/*.js'], languageOptions: {{ sourceType: {kind} }} }},
];
"""


def run_eslint(workspace: Workspace, asked: Asked) -> ToolFindings:
    """Raises: AgentError when ESLint cannot be installed, or did not do its work."""
    config = eslint_config(asked.root)
    tools = ESLINT if config else ESLINT | RECOMMENDED
    report = workspace.scratch / "eslint.json"
    report.unlink(missing_ok=True)
    with node_env(workspace, asked.root, tools=tools, wanted=asked.options.node, install=asked.npm()) as node:
        version = node.has("eslint") or ""
        major = int(version.partition(".")[0] or 0)
        arguments = ["--format", "json", "--output-file", str(report), *asked.options.args]
        env = dict(node.env)
        if not config:
            workspace.log("The repository has no configuration of ESLint: its recommended rules are used")
            arguments += _recommended(workspace, asked, node, major)
        elif major >= 9:
            env["ESLINT_USE_FLAT_CONFIG"] = "true" if config == "flat" else "false"
        if major >= 9 or config == "old":
            arguments.append("--no-error-on-unmatched-pattern")
        paths = asked.options.paths or (".",)
        ran = workspace.run([*node.command("eslint"), *arguments, *paths], cwd=asked.cwd, env=env)
    if ran.code not in (0, 1):
        ended = f"exit code {ran.code}" if ran.code is not None else f"signal {ran.signal}"
        raise AgentError(
            f"eslint could not check the code ({ended})",
            "correct its configuration or with.args; see the log",
        )
    findings, checked = read(report, asked)
    if not checked:
        raise AgentError("eslint found no file to check", "say with.paths or with.working_directory")
    for each in findings:
        workspace.log(f"{each.path}:{each.line}:{each.column}: {each.rule} {each.message}")
    return ToolFindings("eslint", version, findings, home="https://eslint.org", helps=_pages(findings))


def _recommended(workspace: Workspace, asked: Asked, node: NodeEnv, major: int) -> list[str]:
    if major and major < 9:
        raise AgentError(
            f"ESLint {major} is a dependency, but the repository has no configuration for it",
            "add an .eslintrc.json, or remove the dependency to get ESLint's recommended rules",
        )
    folder = next(
        each for each in node.folders if (each / "@eslint/js").exists() and (each / "globals").exists()
    )
    package = read_package_json(asked.root)
    kind = "module" if package and package.content.get("type") == "module" else "commonjs"
    path = workspace.scratch / "eslint.config.mjs"
    put(path, _CONFIG.format(base=json.dumps(str(folder / "x.js")), kind=json.dumps(kind)))
    return ["--config", str(path)]


@written_by("eslint's report")
def read(report: Path, asked: Asked) -> tuple[tuple[Finding, ...], int]:
    """Findings and the number of files that were checked. Raises: AgentError when there is no report to read."""
    content: list[dict[str, Any]] = read_json(report.parent, report.name)
    if not isinstance(content, list):
        raise AgentError("eslint wrote no report that can be read", "see the log for its words")
    found = tuple(
        _finding(inside(asked.root, asked.cwd, str(file["filePath"])), message)
        for file in content
        for message in file["messages"]
    )
    return found, len(content)


def _finding(path: str, message: dict[str, Any]) -> Finding:
    severity = "critical" if message.get("fatal") else "high" if message["severity"] == 2 else "medium"
    return Finding(
        rule=str(message.get("ruleId") or ("parse-error" if message.get("fatal") else "eslint")),
        severity=severity,
        message=str(message["message"]),
        path=path,
        line=int(message.get("line") or 0),
        column=int(message.get("column") or 0),
    )


def _pages(findings: tuple[Finding, ...]) -> dict[str, str]:
    """Pages of ESLint's own rules; a plugin's rule has its name in front, and its page elsewhere."""
    own = {
        each.rule for each in findings if "/" not in each.rule and each.rule not in ("parse-error", "eslint")
    }
    return {rule: f"https://eslint.org/docs/latest/rules/{rule}" for rule in own}
