"""Whatever we ask of GitHub is what its own description of its API takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local.github.contract import Contract
from local.github.hub import Call
from tests.core.building import a_plan, stage
from tests.real import require
from tests.reporting.telling import LINTED, PROBLEM, TWO_FAILED, ends, passes, pipeline, told
from tests.reporting.test_github_channel import PULL, Rig, key, rig
from turnout.core.model import Outcome
from turnout.core.plan import Approval
from turnout.core.result import Finding, Findings, Result

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.real
key, rig = key, rig


@pytest.fixture(scope="module")
def contract() -> Contract:
    return described()


def described() -> Contract:
    script = ROOT / "local/setup/github.sh"
    where = subprocess.run([script, "--where", "api"], check=True, capture_output=True, text=True).stdout
    file = Path(where.strip()) / "generated" / "api.github.com.json"
    require("GitHub's description of its API", file.is_file(), "make real-parts fetches it")
    return Contract(file)


@pytest.mark.parametrize("app", [True, False], ids=["app", "token"])
def test_every_request_is_one_that_github_takes(rig: Rig, contract: Contract, app: bool) -> None:
    if not app:
        rig.as_token()
    named = tuple(Finding(rule=f"E{n}", severity="low", message="no", path="a.py", line=n) for n in range(50))
    noisy = Result(outcome=Outcome.FAILURE, findings=Findings(counts={"low": 50}, named=named))
    failing = ends(
        ends(passes(told(pipeline(), change=PULL), "lint"), "test", TWO_FAILED), "test", TWO_FAILED
    )
    shipping = told(
        a_plan(stage("ship", agent="deploy", environment="staging", approval=Approval())), run="ship"
    )
    for story in (
        failing,
        shipping,
        told(None, problems=(PROBLEM,), reason="1 problem", run="broken"),
        ends(told(a_plan(stage("lint")), run="found", change=PULL), "lint", LINTED),
        ends(told(a_plan(stage("lint")), run="noisy"), "lint", noisy),
    ):
        rig.desk.report(story, "started")
        rig.restart() if app else rig.as_token()
        rig.desk.again(story.run, "again", story.run.version)
    asked = {
        f"{call.method} {call.path.split('/')[4] if 'repos' in call.path else call.path}"
        for call in rig.hub.calls
    }
    print(
        f"{len(rig.hub.calls)} requests, {len(asked)} kinds, by the description of {len(contract._paths)} paths"
    )
    assert [problem for call in rig.hub.calls for problem in contract.problems(call)] == []
    assert not [call for call in rig.hub.calls if call.status == 422]


@pytest.mark.parametrize(
    "wrong",
    [
        Call("POST", "/repos/acme/shop/check-runs", {"name": "turnout"}, 201),
        Call("POST", "/repos/acme/shop/statuses/" + "a" * 40, {"state": "passed"}, 201),
        Call("PATCH", "/repos/acme/shop/check-runs/7", {"output": {"summary": 7}}, 200),
        Call("POST", "/repos/acme/shop/deployments", {"ref": "main", "auto_merge": "no"}, 201),
        Call("POST", "/repos/acme/shop/deployments", {"ref": "main", "automerge": False}, 201),
        Call("GET", "/repos/acme/shop/deployments", None, 200, {"page_size": "100"}),
        Call("PUT", "/repos/acme/shop/check-runs/7", {}, 200),
    ],
    ids=lambda call: f"{call.method} {call.body or call.query}",
)
def test_a_wrong_request_would_be_seen(contract: Contract, wrong: Call) -> None:
    assert list(contract.problems(wrong))
