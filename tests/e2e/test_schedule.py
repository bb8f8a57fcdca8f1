"""Time asks for a run, and nobody pushes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.system import System
from tests.waiting import wait_until
from turnout.core.model import ChangeKind, Outcome

pytestmark = pytest.mark.real
PIPELINE = """\
pipeline:
  on: {schedule: "* * * * *"}
  stages: [{name: nightly, agent: script, with: {run: "echo $TURNOUT_SHA"}}]
"""


def test_a_schedule_makes_a_run_of_the_default_branch(tmp_path: Path) -> None:
    with System(tmp_path) as system:
        system.make_repository({"pipeline.yml": PIPELINE})
        system.start()
        rows = wait_until(lambda: system.wiring.store.runs(limit=1), 30)
        (run,) = system.wait_for([rows[0].id])
    assert (run.change.kind, run.outcome) == (ChangeKind.SCHEDULE, Outcome.SUCCESS)
    assert run.change.title.startswith("scheduled for ")
