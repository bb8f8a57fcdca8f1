"""Jest, Mocha and Node.js's own runner really run here, in the sandbox."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.test.agent import run
from tests.agents.real_parts import Machine
from tests.agents.workspace import SandboxedWorkspace, task
from turnout.core.model import Outcome
from turnout.core.result import Result

pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.usefixtures("node", "bubblewrap")]

WANTS = {"jest": "30.5.2", "mocha": "11.8.0", "c8": "10.1.3"}
SUM = "exports.sum = (a, b) => a + b;\nexports.unused = () => {\n  return 1;\n};\n"
SUITE = """
const { sum } = require('./sum');
const fs = require('fs');
const assert = require('assert');
const mark = __dirname + '/mark';
describe('sum (of two)', () => {
  it('adds', () => assert.equal(sum(1, 2), 3));
  it('is flaky [sometimes]', () => {
    const seen = fs.existsSync(mark);
    fs.writeFileSync(mark, '');
    assert.ok(seen, 'not yet');
  });
  it.skip('waits', () => {});
});
"""


def files(script: str, **more: str) -> dict[str, str]:
    package = {"name": "probe", "version": "1.0.0", "devDependencies": WANTS, "scripts": {"test": script}}
    return {"package.json": json.dumps(package), "sum.js": SUM, **more}


def attempt(workspace: SandboxedWorkspace, before: Result | None = None, **options: Any) -> Result:
    fields: dict[str, Any] = {}
    if before is not None and before.tests is not None:
        counts = before.tests.with_(failed_cases=())
        fields = {"previous_failed": before.tests.failed_cases, "previous_tests": counts, "number": 2}
    return run(task("test", options, **fields), workspace)


@pytest.mark.parametrize(
    ("runner", "script"),
    [("jest", "jest"), ("mocha", "NODE_ENV=test mocha '*.test.js'")],
    ids=["jest", "mocha"],
)
def test_only_what_failed_runs_again_and_is_flaky(machine: Machine, runner: str, script: str) -> None:
    workspace = machine.workspace(f"flaky-{runner}", files(script, **{"sum.test.js": SUITE}))
    first = attempt(workspace, retry="failed-tests")
    assert (first.outcome, first.summary) == (Outcome.FAILURE, "1 of 3 tests failed, 1 skipped")
    assert first.tests is not None
    (failed,) = first.tests.failed_cases
    assert failed.id == "sum.test.js::sum (of two) is flaky [sometimes]"
    assert {"jest": "assert(received)", "mocha": "not yet"}[runner] in failed.message
    second = attempt(workspace, first, retry="failed-tests")
    assert second.outcome is Outcome.SUCCESS, second.summary
    assert second.tests is not None
    assert second.tests.flaky == (failed.id,)
    assert (second.tests.total, second.tests.passed, second.tests.skipped) == (3, 2, 1)
    assert b'tests="1"' in workspace.artifacts["junit.xml"].read_bytes(), "the report is of what ran"
    assert second.tools[runner] == WANTS[runner]


@pytest.mark.parametrize("script", ["jest", "mocha '*.test.js'"], ids=["jest", "mocha"])
def test_coverage_is_measured_in_lines(machine: Machine, script: str) -> None:
    test = "const { sum } = require('./sum');\nit('adds', () => { if (sum(1, 2) !== 3) throw new Error('no'); });\n"
    workspace = machine.workspace(f"coverage-{script[:4]}", files(script, **{"sum.test.js": test}))
    result = attempt(workspace, coverage_min=99)
    assert result.outcome is Outcome.FAILURE
    assert result.tests is not None
    assert result.tests.coverage is not None
    assert 50 <= result.tests.coverage < 99
    assert "is below the 99 % asked for" in result.summary


def test_a_file_that_cannot_be_loaded_is_an_error_of_its_own_in_jest(machine: Machine) -> None:
    suites = {"sum.test.js": "it('x', () => {});\n", "broken.test.js": "it('y', () => {\n"}
    result = attempt(machine.workspace("broken-jest", files("jest", **suites)))
    assert result.outcome is Outcome.FAILURE
    assert result.tests is not None
    assert (result.tests.passed, result.tests.errors) == (1, 1)
    assert [case.id for case in result.tests.failed_cases] == ["broken.test.js"]


def test_a_file_that_cannot_be_loaded_fails_mocha_before_any_test(machine: Machine) -> None:
    result = attempt(machine.workspace("broken-mocha", files("mocha x.js", **{"x.js": "it('y', () => {\n"})))
    assert result.outcome is Outcome.FAILURE
    assert "mocha ended with exit code 1 before any test ran" in result.summary


def test_a_hook_that_fails_is_an_error_whose_file_runs_again(machine: Machine) -> None:
    suite = "before(() => { throw new Error('no database'); });\nit('y', () => {});\n"
    workspace = machine.workspace("hook", files("mocha t.js", **{"t.js": suite}))
    first = attempt(workspace, retry="failed-tests")
    assert first.tests is not None
    assert [(case.id, case.message) for case in first.tests.failed_cases] == [("t.js", "no database")]
    (workspace.path / "t.js").write_text("it('y', () => {});\n")
    second = attempt(workspace, first, retry="failed-tests")
    assert (second.outcome, second.tests and second.tests.passed) == (Outcome.SUCCESS, 1)


def test_a_configuration_that_jest_refuses_is_an_error_and_no_failure(machine: Machine) -> None:
    workspace = machine.workspace("config", files("jest", **{"jest.config.js": "throw new Error('no');\n"}))
    result = attempt(workspace)
    assert result.outcome is Outcome.ERROR
    assert "jest ended with exit code 1 before any test ran" in result.reason


def test_what_the_script_does_before_its_tests_is_done_and_linters_are_not(machine: Machine) -> None:
    script = "eslint-is-not-here . && node build.js && mocha t.js"
    suite = "it('x', () => { require('./built'); });\n"
    build = "require('fs').writeFileSync('built.js', '');\n"
    package = files(script.replace("eslint-is-not-here", "eslint"), **{"t.js": suite, "build.js": build})
    workspace = machine.workspace("before", package)
    assert attempt(workspace).outcome is Outcome.SUCCESS
    broken = machine.workspace("before-broken", package | {"build.js": "process.exit(3);\n"})
    result = attempt(broken)
    assert result.outcome is Outcome.FAILURE
    assert result.summary == "`node build.js`, which the test script runs before its tests, failed"


def test_nodes_own_runner_needs_no_package(machine: Machine) -> None:
    bad = "test('bad', () => { throw new Error('no'); });\n"
    suite = f"import {{ test }} from 'node:test';\ntest('good', () => {{}});\n{bad}"
    package = json.dumps({"name": "probe", "scripts": {"test": "node --test"}})
    workspace = machine.workspace("node", {"package.json": package, "x.test.mjs": suite})
    result = attempt(workspace)
    assert (result.outcome, result.summary) == (Outcome.FAILURE, "1 of 2 tests failed")
    assert result.tests is not None
    assert [(case.id, case.message) for case in result.tests.failed_cases] == [("x.test.mjs::bad", "no")]


def test_a_script_without_a_known_runner_tells_its_exit_status_only(machine: Machine) -> None:
    package = json.dumps({"name": "probe", "scripts": {"test": "node check.js"}})
    workspace = machine.workspace("npm", {"package.json": package, "check.js": "process.exit(5);\n"})
    result = attempt(workspace)
    assert (result.outcome, result.tests) == (Outcome.FAILURE, None)
    assert result.summary == "npm test ended with exit code 5"


def test_packages_in_the_cache_cannot_be_changed_by_the_tests(machine: Machine) -> None:
    suite = "it('x', () => { require('fs').appendFileSync(require.resolve('c8'), 'throw 1'); });\n"
    result = attempt(machine.workspace("poison", files("mocha t.js", **{"t.js": suite})))
    assert result.outcome is Outcome.FAILURE
    assert result.tests is not None
    assert "EROFS" in result.tests.failed_cases[0].message or "EACCES" in result.tests.failed_cases[0].message
