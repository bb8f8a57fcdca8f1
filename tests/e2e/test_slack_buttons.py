"""A deploy waits; people press the buttons in Slack; who may is heard, and the message follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.slack.buttons import Finger
from tests.e2e.system import CHANNEL, REPOSITORY, System
from tests.waiting import wait_until
from turnout.core.model import Outcome

SIGNING = "slack signs with this"
ADA, BOB, EVE = "U0ADA00001", "U0BOB00001", "U0EVE00001"
PIPELINE = """\
pipeline:
  stages:
    - name: ship
      agent: script
      with: {run: "echo shipped"}
      approval: {required: 1, by: ["@ada"], expires: 1h}
  notify_on_success: true
"""


def labels(system: System) -> list[str]:
    """What is written on the buttons of the run's message."""
    blocks = [block for message in system.messages() for block in message["blocks"]]
    pressed = [each for block in blocks if block["type"] == "actions" for each in block["elements"]]
    return [each["text"]["text"] for each in pressed]


@pytest.mark.real
def test_a_button_in_slack_approves_for_who_may(tmp_path: Path) -> None:
    with System(tmp_path, {"TURNOUT_SLACK_SIGNING_SECRET": SIGNING}) as system:
        system.make_repository({"pipeline.yml": PIPELINE})
        file = system.wiring.settings.projects_folder / "shop.yml"
        file.write_text(file.read_text() + f"  people: {{{ADA}: '@ada', {BOB}: '@bob'}}\n")
        finger = Finger(f"{system.start().urls['webhook']}/slack/actions", SIGNING)
        run = system.deliver()
        wait_until(lambda: labels(system) == ["Approve ship", "Reject ship"], 60, "the message has buttons")

        assert finger.press(system.workspace, CHANNEL, "Approve ship", EVE) == 200
        assert finger.press(system.workspace, CHANNEL, "Approve ship", BOB) == 200
        told = dict(system.workspace.whispers)
        assert "whose Slack account" in told[EVE]
        assert "bob is none of them" in told[BOB]
        assert Finger(finger.url, "a guess").press(system.workspace, CHANNEL, "Approve ship", ADA) == 401
        assert labels(system) == ["Approve ship", "Reject ship"]

        assert finger.press(system.workspace, CHANNEL, "Approve ship", ADA) == 200
        (ended,) = system.wait_for([run])
        assert ended.outcome is Outcome.SUCCESS
        assert [each.by for each in ended.stages["ship"].approvals] == ["ada"]
        wait_until(lambda: labels(system) == [], 60, "the buttons are gone")
        assert len(system.messages()) == 1
        entries = reversed(system.wiring.accounts.audit_log())
        assert [(each.person, each.address, each.verdict, each.project) for each in entries] == [
            ("", f"slack:{EVE}", "refused", REPOSITORY),
            ("bob", f"slack:{BOB}", "refused", REPOSITORY),
            ("ada", f"slack:{ADA}", "allowed", REPOSITORY),
        ]
