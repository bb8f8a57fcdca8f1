"""Charts on a real API server, with Helm 4 and, where it matters, Helm 3."""

from __future__ import annotations

import pytest

from tests.agents.deploy.conftest import DIGESTS, Desk, pushed
from tests.agents.deploy.shop import CHART
from turnout.core.model import Outcome

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

both_helms = pytest.mark.parametrize("desk", ["helm", "helm3"], indirect=True)


@both_helms
def test_a_chart_is_installed_then_upgraded_and_the_result_says_what_changed(desk: Desk) -> None:
    first, workspace = desk.deploy(CHART, upstream=pushed(1))
    print(workspace.text)
    print(first)
    assert first.outcome is Outcome.SUCCESS, first
    assert first.outputs["revision"] == "1"
    assert first.outputs["revision_before"] == ""
    assert first.outputs["created"] == "3"
    assert desk.image() == f"behave.test/run@{DIGESTS[1]}"
    second, workspace = desk.deploy(
        CHART, {"helm": {"set": {"greeting": "salut"}}}, run="run-2", upstream=pushed(1)
    )
    print(workspace.text)
    assert second.outputs["revision"] == "2"
    assert second.outputs["revision_before"] == "1"
    assert (second.outputs["configured"], second.outputs["unchanged"]) == ("1", "2")
    assert "-  greeting: hello" in workspace.text
    assert "+  greeting: salut" in workspace.text
