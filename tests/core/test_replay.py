from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.core.building import Story
from tests.core.test_run import STORIES
from turnout.core.decider import decide
from turnout.core.errors import IllegalTransition, NotFound
from turnout.core.evolve import evolve
from turnout.core.replay import rebuild
from turnout.core.run import Run


@pytest.mark.parametrize("make", STORIES)
def test_a_run_is_rebuilt_as_it_was_after_each_of_its_events(make: Callable[[], Story]) -> None:
    story = make()
    run: Run | None = None
    for version, event in enumerate(story.history, start=1):
        run = evolve(run, event)
        assert rebuild(story.history, version) == run
        assert run.version == version
    assert rebuild(story.history) == run


def test_what_was_decided_is_decided_again_at_the_same_place() -> None:
    story = STORIES[1]()
    late = story.finished("a")
    before = rebuild(story.history)
    assert decide(before, late, story.now) == story.hear(late)


@pytest.mark.parametrize("version", [0, -1, 11])
def test_a_number_that_no_event_has_is_refused_with_those_there_are(version: int) -> None:
    history = STORIES[0]().history
    with pytest.raises(NotFound, match=rf"no event {version} \(it has the events 1 to {len(history)}\)"):
        rebuild(history, version)


def test_no_events_are_no_run_and_events_of_no_run_are_refused() -> None:
    with pytest.raises(NotFound, match="nothing is recorded"):
        rebuild([])
    with pytest.raises(IllegalTransition):
        rebuild(STORIES[0]().history[1:])
