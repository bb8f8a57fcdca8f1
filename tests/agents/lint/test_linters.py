"""Pylint and ESLint really run here, in the sandbox."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.lint.agent import run
from agents.sdk.workspace import AgentError
from tests.agents.real_parts import Machine
from tests.agents.workspace import SandboxedWorkspace, task
from turnout.core.model import Outcome
from turnout.core.result import Result

pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.usefixtures("node", "bubblewrap")]


def lint(workspace: SandboxedWorkspace, **options: Any) -> Result:
    return run(task("lint", options), workspace)


def test_pylint_fails_on_errors_and_only_tells_warnings(machine: Machine) -> None:
    bad = machine.workspace("pylint-bad", {"shop/__init__.py": "def f(a):\n    return b\n"})
    result = lint(bad)
    assert result.outcome is Outcome.FAILURE
    assert result.findings is not None
    worst = result.findings.named[0]
    assert (worst.rule, worst.severity, worst.path, worst.line, worst.column) == (
        "undefined-variable", "high", "shop/__init__.py", 2, 12,
    )  # fmt: skip
    mild = machine.workspace("pylint-mild", {"shop/__init__.py": '"""Doc."""\ndef f(a):\n    return 1\n'})
    result = lint(mild)
    assert result.outcome is Outcome.SUCCESS
    assert result.findings is not None
    assert result.findings.counts == {"medium": 1, "low": 1}
    assert lint(mild, fail_on="warning").outcome is Outcome.FAILURE


def test_a_configuration_that_pylint_refuses_is_an_error(machine: Machine) -> None:
    workspace = machine.workspace("pylint-config", {"shop.py": "x = 1\n"})
    with pytest.raises(AgentError, match=r"pylint could not check the code \(exit code 32\)"):
        lint(workspace, args=["--no-such-option"])


def test_eslint_brings_its_recommended_rules_where_the_repository_has_none(machine: Machine) -> None:
    files = {
        "package.json": "{}",
        "a.js": "module.exports = foo;\n",
        "b.mjs": "export default 1;\n",
        "c.js": "if (\n",
    }
    workspace = machine.workspace("eslint-none", files)
    result = lint(workspace)
    assert result.outcome is Outcome.FAILURE
    assert result.findings is not None
    assert [(each.rule, each.severity, each.path) for each in result.findings.named] == [
        ("parse-error", "critical", "c.js"),
        ("no-undef", "high", "a.js"),
    ]
    sarif = json.loads(workspace.artifacts["lint.sarif"].read_text())
    assert sarif["runs"][0]["tool"]["driver"]["name"] == "eslint"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("eslint.config.mjs", "export default [{ rules: { semi: 'warn' } }];\n"),
        (
            ".eslintrc.json",
            '{"root": true, "parserOptions": {"ecmaVersion": 2020}, "rules": {"semi": "warn"}}',
        ),
    ],
    ids=["flat", "old"],
)
def test_eslint_follows_the_repositorys_own_rules_old_and_new(
    machine: Machine, name: str, content: str
) -> None:
    workspace = machine.workspace(
        f"eslint-{name}", {"package.json": "{}", "a.js": "var x = foo\n", name: content}
    )
    result = lint(workspace, tool="eslint")
    assert result.outcome is Outcome.SUCCESS
    assert result.findings is not None
    assert [(each.rule, each.severity) for each in result.findings.named] == [("semi", "medium")]


def test_a_configuration_that_eslint_refuses_is_an_error(machine: Machine) -> None:
    workspace = machine.workspace(
        "eslint-bad", {"package.json": "{}", "a.js": "", "eslint.config.mjs": "throw 1;\n"}
    )
    with pytest.raises(AgentError, match=r"eslint could not check the code \(exit code 2\)"):
        lint(workspace)
