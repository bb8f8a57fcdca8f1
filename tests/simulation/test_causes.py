"""Whatever goes wrong in a world, every event of its runs is explained, and what would turn it does."""

from __future__ import annotations

import pytest

from tests.core.building import Story
from tests.core.test_causes import assert_caused, assert_flips_are_true
from tests.simulation.scenario import scenario
from tests.simulation.world import World, simulated


def explain_worlds(seeds: range) -> int:
    """How many events."""
    events = 0
    with simulated():
        for seed in seeds:
            world = World(scenario(seed))
            world.run()
            for run in world.store.states():
                story = Story(history=[each.event for each in world.store.events(run.id)])
                assert_caused(story)
                assert_flips_are_true(story)
                events += len(story.history)
    return events


def test_every_event_of_a_few_worlds_is_explained() -> None:
    assert explain_worlds(range(3)) > 30


@pytest.mark.real
def test_every_event_of_hundreds_of_worlds_is_explained() -> None:
    assert explain_worlds(range(100, 220)) > 2000
