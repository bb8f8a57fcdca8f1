"""Snyk's own command line against a stand-in of its service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.sdk.workspace import AgentError
from agents.security.agent import run
from tests.agents.real_parts import Machine
from tests.agents.security.planted import JAVASCRIPT
from tests.agents.security.snyk_stand_in import LODASH, TOKEN, SnykApi, serving
from tests.agents.workspace import PlainWorkspace, task, write
from turnout.core.model import Outcome
from turnout.core.result import Result

pytestmark = [pytest.mark.real, pytest.mark.timeout(300), pytest.mark.usefixtures("node", "operator")]


@pytest.fixture
def workspace(tmp_path: Path) -> PlainWorkspace:
    """Without the sandbox: a tool's own network has no way to a server on this machine's loopback."""
    made = PlainWorkspace(tmp_path)
    write(made.path, JAVASCRIPT)
    return made


@pytest.fixture
def api() -> Iterator[SnykApi]:
    with serving(SnykApi([LODASH])) as served:
        yield served


def snyk(workspace: PlainWorkspace, api: SnykApi, token: str = TOKEN, **options: object) -> Result:
    for name, value in ({"SNYK_TOKEN": token} | api.env).items():
        workspace.given[name] = value
    return run(task("security", {"tool": "snyk", **options}, secrets=("SNYK_TOKEN",)), workspace)


def test_what_the_service_knows_of_is_a_finding(workspace: PlainWorkspace, api: SnykApi) -> None:
    result = snyk(workspace, api)
    assert result.outcome is Outcome.FAILURE
    assert result.findings is not None
    (found,) = result.findings.named
    assert (found.rule, found.severity, found.package, found.installed, found.fixed, found.path) == (
        "CVE-2021-23337", "high", "lodash", "4.17.20", "4.17.21", "package-lock.json",
    )  # fmt: skip
    assert "POST /v1/test-dep-graph" in api.asked
    assert not [each for each in api.asked if "analytics" in each or "monitor" in each], (
        "it tells nobody else"
    )


def test_a_project_that_nothing_is_known_of_is_a_success(workspace: PlainWorkspace, api: SnykApi) -> None:
    api.issues = ()
    result = snyk(workspace, api)
    assert (result.outcome, result.summary) == (Outcome.SUCCESS, "snyk found nothing")


def test_a_token_that_the_service_refuses_is_an_error(workspace: PlainWorkspace, api: SnykApi) -> None:
    with pytest.raises(AgentError, match=r"snyk could not run \(exit code 2: Authentication failed"):
        snyk(workspace, api, token="11111111-2222-4333-8444-555555555555")


def test_a_service_that_fails_is_an_error(workspace: PlainWorkspace, api: SnykApi) -> None:
    api.behaviour = "break"
    with pytest.raises(AgentError, match=r"snyk could not run \(exit code 2: Internal server error"):
        snyk(workspace, api)


def test_a_service_that_does_not_answer_is_an_error_when_the_time_is_over(
    workspace: PlainWorkspace, api: SnykApi
) -> None:
    api.behaviour = "hang"
    with pytest.raises(AgentError, match="snyk had not ended after 10s"):
        snyk(workspace, api, time_limit="10s")
    assert "POST /v1/test-dep-graph" in api.asked


def test_a_folder_without_a_project_is_nothing_to_test(workspace: PlainWorkspace, api: SnykApi) -> None:
    write(workspace.path, {"docs/README": "x\n"})
    result = snyk(workspace, api, working_directory="docs")
    assert result.outcome is Outcome.ERROR
    assert result.reason.startswith("snyk found no project that it knows in docs")


def test_where_the_machine_has_no_snyk_it_is_installed_from_npm_and_runs_in_the_sandbox(
    bubblewrap: None, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no service to reach from there, so it can only say that it could not run."""
    monkeypatch.delenv("TURNOUT_SNYK")
    env = {"SNYK_TOKEN": TOKEN, "SNYK_API": "http://127.0.0.1:9/v1", "SNYK_HTTP_PROTOCOL_UPGRADE": "0"}
    workspace = machine.workspace("snyk-npm", JAVASCRIPT, env=env)
    with pytest.raises(AgentError, match=r"snyk could not run \(exit code 2"):
        run(task("security", {"tool": "snyk"}, env=env), workspace)
    assert "Installing snyk@" in workspace.text
