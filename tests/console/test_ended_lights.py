"""A list that reads little of an ended run shows the same lights as the run's own page."""

from __future__ import annotations

import pytest

from tests.ended_runs import Told, ended
from turnout.console.pages.lights import ended_light, stage_lights
from turnout.core.model import Outcome
from turnout.core.result import Result
from turnout.core.tally import StageEnd


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("outcome", list(Outcome))
def test_lights_of_ended_stages_are_the_same(outcome: Outcome, allowed: bool) -> None:
    run = ended(Told("unit", "test", ((0, 1, 2),), (Result(outcome=outcome),)))
    run = run.with_(stages={"unit": run.stages["unit"].with_(allowed=allowed)})
    assert stage_lights(run)["unit"] == ended_light(StageEnd(outcome, allowed))
