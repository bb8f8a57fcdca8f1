from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.core.building import a_plan, stage
from tests.test_orchestration import World
from turnout.core.ids import run_id
from turnout.core.ports import StoredEvent
from turnout.following import EVERY, follow

RUN = run_id("t1")


def watched(
    world: World, meanwhile: list[Callable[[], object]], alive: Callable[[], bool] = lambda: True
) -> list[str]:
    """What a watcher sees while these things happen, one a pause; ``-`` where there was nothing new."""
    steps: Iterator[Callable[[], object]] = iter(meanwhile)

    def pause(seconds: float) -> None:
        assert seconds == EVERY
        next(steps)()

    seen = follow(world.store, RUN, alive=alive, pause=pause)
    return [stored.event.kind if isinstance(stored, StoredEvent) else "-" for stored in seen]


def test_a_run_is_followed_from_its_first_event_to_its_last() -> None:
    world = World(a_plan(stage("test")))
    seen = watched(
        world,
        [world.push, lambda: world.hear(world.started("test")), lambda: world.hear(world.finished("test"))],
    )
    assert [each for each in seen if each != "-"] == [each.event.kind for each in world.store.events(RUN)]
    assert seen[0] == "-"
    assert seen[-1] == "run_finished"


def test_a_run_that_has_ended_is_told_at_once_and_nobody_waits() -> None:
    world = World(a_plan(stage("test")))
    world.push()
    world.hear(world.finished("test"))
    assert watched(world, [])[-1] == "run_finished"


def test_watching_ends_when_nobody_is_left_to_go_on() -> None:
    world = World(a_plan(stage("test")))
    living = [True, True, False]
    seen = watched(world, [world.push, lambda: None], alive=lambda: living.pop(0))
    assert "run_created" in seen
    assert "run_finished" not in seen
    assert not living


def test_what_was_written_just_before_the_end_is_still_told() -> None:
    world = World(a_plan(stage("test")))
    world.push()

    def dies() -> bool:
        """The last one that could go on finishes the run, and is gone."""
        world.hear(world.finished("test"))
        return False

    assert watched(world, [], alive=dies)[-1] == "run_finished"
