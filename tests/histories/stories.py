"""Runs as they happen: planned from real files, told message by message; and some of the simulator's worlds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from tests.core.building import Story
from tests.core.writing import EVERY_WORD, SMALLEST, fork, pipeline, planned, project, push
from tests.simulation.scenario import scenario
from tests.simulation.world import World, simulated
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.decider import Forged, JobEnded, StartRun
from turnout.core.events import Carried, Event
from turnout.core.model import Outcome
from turnout.core.plan import ConfigProblem

WORLDS, LONG = 8, 12
"""Of so many of the simulator's worlds one run each that has at least so many events."""
AGAIN = (
    "delivered",
    "rejected",
    "lost_again_and_again",
    "forged_and_late",
    "of_a_fork",
    "superseded",
    "overtaken",
)
"""What is told in the second generation too, which recorded rulings, ends of leases, stages of ignored messages."""
DELIVERY = """
pipeline:
  concurrency: {group: "{project}:{branch}", cancel_superseded: false}
  stages:
    - [lint, {name: unit, agent: test, matrix: {python: ["3.11", "3.12"]}, retries: {max: 2, backoff: 10s}}]
    - build
    - {name: scan, agent: security, allow_failure: true}
    - {name: docs, agent: script, with: {run: make}, when: {paths: ["docs/**"]}, needs: [build]}
    - {name: ship, agent: deploy, environment: live, approval: {required: 2, by: ["@ada", "@eve"]}, needs: [scan]}
    - {name: check, agent: test, needs: [ship], rollback: ship}
"""
BY = project(
    "secrets: {PYPI_TOKEN: {env: T}}, environments: {live: {branches: main}, staging: {}, production: {}}"
)


def of(text: str, change: Change | None = None, **more: Any) -> Story:
    change = change or push(paths=("src/shop.py",))
    return Story.of(planned(pipeline(text, project=BY), change, BY), change=change, **more)


def everything_ends(story: Story, *, starting: bool = True) -> Story:
    while story.active():
        for task in story.active():
            if starting:
                story.now += timedelta(seconds=2)
                story.starts(task)
            story.now += timedelta(seconds=30)
            story.ends(task, summary="done", outputs={"image": "r/shop@sha256:ab"} if task == "build" else {})
    return story


def up_to_ship() -> Story:
    return everything_ends(of(DELIVERY))


def approved(story: Story) -> Story:
    for person in ("mallory", "ada", "ada", "eve"):
        story.now += timedelta(minutes=1)
        story.hear(m.Approve(run="r1", stage="ship", by=person, comment="go" if person == "eve" else ""))
    return story


def delivered() -> Story:
    return everything_ends(approved(up_to_ship()))


def rolled_back() -> Story:
    story = approved(up_to_ship())
    story.ends("ship", summary="revision 7")
    story.ends("check", Outcome.FAILURE, summary="the shop is closed")
    story.ends("ship[rollback]", summary="revision 6")
    return story


def rollback_failed() -> Story:
    story = approved(up_to_ship())
    story.ends("ship")
    story.ends("check", Outcome.TIMED_OUT, reason="after 10 m")
    for _ in range(4):
        if story.active():
            story.ends("ship[rollback]", Outcome.ERROR, reason="no cluster")
    return story


def rejected() -> Story:
    story = up_to_ship()
    story.hear(m.Approve(run="r1", stage="ship", by="ada"))
    story.hear(m.Reject(run="r1", stage="ship", by="eve", comment="it is Friday"))
    story.hear(m.Approve(run="r1", stage="ship", by="eve"))
    return story


def expired() -> Story:
    story = up_to_ship()
    story.later(24 * 3600 + 1)
    return story


def waited_for_live() -> Story:
    story = of(DELIVERY)
    story.taken = {"live": "r0"}
    approved(everything_ends(story))
    story.taken = {"live": "r9"}
    story.hear(m.EnvironmentFree(run="r1", environment="live", after="r0"))
    story.taken = {}
    story.hear(m.EnvironmentFree(run="r1", environment="live", after="r9"))
    return everything_ends(story)


def overtaken() -> Story:
    story = up_to_ship()
    story.newer = {"live": "r9"}
    return approved(story)


def smallest_fails_twice() -> Story:
    story = of(SMALLEST)
    story.ends("lint")
    story.ends("test", Outcome.FAILURE, summary="1 of 9 tests failed")
    story.ends("test", Outcome.FAILURE, summary="1 of 9 tests failed")
    return story


def a_cell_is_flaky() -> Story:
    story = of(DELIVERY)
    story.ends("lint")
    story.ends("unit[python=3.11]", Outcome.FAILURE, summary="flaky")
    story.ends("unit[python=3.12]")
    story.later(11)
    return everything_ends(story)


def lost_again_and_again() -> Story:
    story = of(SMALLEST)
    for _ in range(3):
        story.starts("lint")
        story.later(31, {story.attempt("lint").id: story.now + timedelta(seconds=30)})
        story.later(31)
    return story


def nobody_began() -> Story:
    story = of(SMALLEST)
    story.later(901)
    story.later(1)
    story.hear(JobEnded(attempt=story.attempt("lint").id, reason="OOMKilled"))
    return story


def ran_past_its_time() -> Story:
    story = of(SMALLEST)
    story.starts("lint")
    story.later(3700)
    return everything_ends(story)


def cancelled_and_deaf() -> Story:
    story = of(DELIVERY)
    story.starts("lint")
    story.hear(m.CancelRun(run="r1", by="ada", reason="wrong branch"))
    story.ends("unit[python=3.11]", Outcome.CANCELLED)
    story.hear(m.CancelRun(run="r1", by="eve"))
    story.later(200)
    return story


def superseded() -> Story:
    story = of(EVERY_WORD)
    story.hear(m.SupersedeRun(run="r1", newer="r2"))
    return everything_ends(story, starting=False)


def held() -> Story:
    story = of(DELIVERY, held_by=("r-1", "r0"))
    story.hear(m.ReleaseRun(run="r1", after="r0"))
    return everything_ends(story)


def forged_and_late() -> Story:
    story = of(SMALLEST)
    late = story.finished("lint")
    story.hear(Forged(message="turnout.task.finished", attempt=late.attempt))
    story.starts("lint")
    story.hear(story.started("lint"))
    story.hear(late)
    story.hear(late)
    story.hear(late.with_(attempt="nobody's"))
    story.hear(StartRun(run="r1", trigger="t1", project="org/shop", change=push(), plan=None))
    return everything_ends(story)


def of_a_fork() -> Story:
    story = of(SMALLEST, fork())
    story.hear(m.Approve(run="r1", stage="lint", by="ada"))
    return everything_ends(story)


def broken() -> Story:
    problem = ConfigProblem(
        file="pipeline.yml", line=3, column=5, path="pipeline.stages[0]", message="no agent"
    )
    return Story.of(None, problems=(problem,), reason="the pipeline file is not valid")


def rerun() -> Story:
    kept = {"lint": Carried(outcome=Outcome.SUCCESS, outputs={"a": "b"})}
    return everything_ends(of(SMALLEST, rerun_of="r0", rerun_mode="failed", carried=kept, requested_by="ada"))


def without_fail_fast() -> Story:
    story = of(
        "pipeline: {fail_fast: false, stages: [[lint, {agent: test, fail_fast: false, matrix: {os: [a, b]}}],"
        " build, {name: note, agent: script, with: {run: x}, needs: []}]}"
    )
    story.ends("lint", Outcome.ERROR, reason="no npm.\nInstall it.")
    return everything_ends(story)


TOLD: dict[str, Callable[[], Story]] = {
    each.__name__: each
    for each in (
        delivered, rolled_back, rollback_failed, rejected, expired, waited_for_live, overtaken,
        smallest_fails_twice,
        a_cell_is_flaky, lost_again_and_again, nobody_began, ran_past_its_time, cancelled_and_deaf, superseded,
        held, forged_and_late, of_a_fork, broken, rerun, without_fail_fast,
    )
}  # fmt: skip


def histories() -> Iterator[tuple[str, Sequence[Event]]]:
    """Of the newest generation."""
    for name in AGAIN:
        yield name, TOLD[name]().history
    found = filter(None, map(_of_a_world, range(100)))
    for number, history in zip(range(WORLDS), found, strict=False):
        yield f"world_{number}", history


def _of_a_world(seed: int) -> Sequence[Event]:
    """Of its long runs the one with most kinds of events; empty: it has none."""
    with simulated():
        world = World(scenario(seed))
        world.run()
    every = ([each.event for each in world.store.events(run.id)] for run in world.store.states())
    long = [each for each in every if len(each) >= LONG]
    return max(long, key=lambda each: (len({event.kind for event in each}), len(each)), default=())
