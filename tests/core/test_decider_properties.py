"""Whatever comes in whatever order: the run stays legal, replays to itself, and ends."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.building import Story, a_plan, stage
from turnout.core import messages as m
from turnout.core.decider import due_at
from turnout.core.events import AttemptFinished, AttemptLaunched, StageStarted, dump, load
from turnout.core.evolve import replay
from turnout.core.model import Outcome
from turnout.core.plan import Approval, Plan, Retries
from turnout.core.run import StageStatus

OUTCOMES = [Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT, Outcome.CANCELLED]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    stages = []
    for number in range(draw(st.integers(1, 5))):
        needs = [f"s{each}" for each in range(number) if draw(st.booleans())]
        stages.append(
            stage(
                f"s{number}",
                *needs,
                cells=[str(each) for each in range(draw(st.sampled_from([0, 2, 3])))],
                retry=Retries(max=draw(st.integers(0, 2)), backoff=draw(st.sampled_from([0.0, 10.0]))),
                allow_failure=draw(st.booleans()),
                fail_fast=draw(st.booleans()),
                skip=draw(st.sampled_from(["", "", "when.branch"])),
                approval=draw(st.sampled_from([None, None, Approval(expires=100)])),
                timeout=50.0,
            )
        )
    return a_plan(*stages, fail_fast=draw(st.booleans()), parallel=draw(st.sampled_from([0, 1, 2])))


def leases(story: Story) -> dict[str, datetime]:
    return {
        task.current.id: task.current.started_at + timedelta(seconds=30)
        for _, task in story.run.tasks()
        if task.active and task.current and task.current.started_at
    }


def step(story: Story, draw: st.DrawFn) -> None:
    active = story.active()
    kind = draw(st.sampled_from(["end", "end", "end", "start", "tick", "approve", "reject", "cancel", "old"]))
    if kind in ("end", "start") and active:
        task = draw(st.sampled_from(active))
        if kind == "start":
            story.starts(task)
        else:
            story.ends(task, draw(st.sampled_from(OUTCOMES)), lost=draw(st.booleans()))
    elif kind == "tick":
        story.later(draw(st.sampled_from([1.0, 20.0, 200.0])), leases(story))
    elif kind in ("approve", "reject"):
        name = draw(st.sampled_from(sorted(story.run.stages)))
        model = m.Approve if kind == "approve" else m.Reject
        story.hear(model(run="r1", stage=name, by=draw(st.sampled_from(["ada", "grace"]))))
    elif kind == "cancel" and draw(st.integers(0, 5)) == 0:
        story.hear(m.CancelRun(run="r1", by="ada"))
    elif kind == "old" and story.history:
        known = [event for event in story.history if isinstance(event, AttemptLaunched)]
        if known:
            chosen = draw(st.sampled_from(known))
            story.hear(story.finished(chosen.task).with_(attempt=chosen.attempt))


def let_time_pass(story: Story) -> None:
    """With nobody answering any more, deadlines alone must end the run."""
    for _ in range(400):
        if story.run.finished:
            return
        due = due_at(story.run)
        known = [*leases(story).values(), *([due] if due else [])]
        assert known, "a run that is not over and has no deadline would wait for ever"
        story.later(max(1.0, (min(known) - story.now).total_seconds()), leases(story))
    raise AssertionError("the run does not end")


@given(plans(), st.data())
@settings(max_examples=100, deadline=None)
def test_every_run_ends_and_obeys_its_plan_whatever_happens(plan: Plan, data: st.DataObject) -> None:
    story = Story.of(plan)
    for _ in range(data.draw(st.integers(0, 25))):
        step(story, data.draw)  # type: ignore[arg-type]  # data.draw is a DrawFn in all but name
    let_time_pass(story)

    run = story.run
    assert run.outcome is not None
    assert all(each.status is StageStatus.FINISHED for each in run.stages.values())
    launched = [event.attempt for event in story.history if isinstance(event, AttemptLaunched)]
    ended = [event.attempt for event in story.history if isinstance(event, AttemptFinished)]
    assert sorted(launched) == sorted(ended), "each attempt is launched once and ends once"
    assert len(set(launched)) == len(launched)
    assert_needs_first(story)
    assert replay([load(dump(event)) for event in story.history]) == run


def assert_needs_first(story: Story) -> None:
    for index, event in enumerate(story.history):
        if isinstance(event, StageStarted):
            before = replay(story.history[:index])
            assert before is not None
            for need in before.planned(event.stage).needs:
                assert before.stages[need].status is StageStatus.FINISHED
                assert not before.stages[need].blocks


@given(plans())
@settings(max_examples=50, deadline=None)
def test_success_everywhere_is_success_of_the_run(plan: Plan) -> None:
    story = Story.of(plan)
    while not story.run.finished:
        waiting = [name for name, each in story.run.stages.items() if each.status is StageStatus.WAITING]
        for name in waiting:
            story.hear(m.Approve(run="r1", stage=name, by="ada"))
        for task in story.active():
            story.ends(task)
    assert story.run.outcome is Outcome.SUCCESS
