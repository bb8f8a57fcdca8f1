from __future__ import annotations

from datetime import timedelta

from tests.core.building import START, Story, a_plan, stage
from turnout.core import messages as m
from turnout.core.model import Outcome
from turnout.core.plan import Approval
from turnout.core.timeline import Phase, critical_path, timeline


def spans(story: Story, task: str, number: int = 1) -> dict[str, float]:
    found = timeline(story.run, story.now)
    (row,) = [row for row in found.rows if (row.task, row.number) == (task, number)]
    return {span.phase.value: span.seconds for span in row.spans}


def wait(story: Story, seconds: float) -> None:
    story.now += timedelta(seconds=seconds)


def test_queue_start_up_and_work_are_told_apart() -> None:
    story = Story.of(a_plan(stage("lint"), stage("test"), parallel=1))
    wait(story, 2)
    story.starts("lint")
    wait(story, 5)
    story.ends("lint")
    wait(story, 1)
    story.starts("test")
    wait(story, 7)
    assert spans(story, "lint") == {"startup": 2, "work": 5}
    assert spans(story, "test") == {"queue": 7, "startup": 1, "work": 7}
    (row,) = [row for row in timeline(story.run, story.now).rows if row.task == "test"]
    assert [span.open for span in row.spans] == [False, False, True]


def test_a_retry_waits_in_the_queue_of_its_own_attempt() -> None:
    story = Story.of(a_plan(stage("test", retries=1)))
    story.starts("test")
    wait(story, 3)
    story.ends("test", Outcome.FAILURE)
    wait(story, 4)
    story.later(0)
    story.starts("test")
    wait(story, 6)
    story.ends("test")
    found = timeline(story.run, story.now)
    assert [(row.number, row.outcome) for row in found.rows] == [(1, Outcome.FAILURE), (2, Outcome.SUCCESS)]
    assert found.rows[1].seconds(Phase.WORK) == 6
    assert found.total(Phase.WORK) == 9


def test_the_wait_for_people_is_no_queue() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval())))
    wait(story, 60)
    assert spans(story, "ship", 0) == {"approval": 60}
    story.hear(m.Approve(run="r1", stage="ship", by="grace"))
    wait(story, 2)
    story.starts("ship")
    assert spans(story, "ship") == {"approval": 60, "startup": 2, "work": 0}


def test_a_stage_whose_needs_go_on_has_no_row_yet() -> None:
    story = Story.of(a_plan(stage("lint"), stage("test", "lint")))
    assert [row.task for row in timeline(story.run, story.now + timedelta(seconds=1)).rows] == ["lint"]


def test_the_critical_path_goes_back_over_what_ended_last() -> None:
    story = Story.of(a_plan(stage("lint"), stage("unit"), stage("build", "lint", "unit"), stage("docs")))
    for task, seconds in (("lint", 1), ("unit", 9)):
        story.starts(task)
        wait(story, seconds)
        story.ends(task)
    story.starts("docs")
    story.ends("docs")
    story.starts("build")
    assert critical_path(story.run) == ("unit", "build")


def test_of_an_ended_run_the_time_stands_still() -> None:
    story = Story.of(a_plan(stage("lint")))
    story.starts("lint")
    wait(story, 4)
    story.ends("lint")
    found = timeline(story.run, story.now + timedelta(hours=5))
    assert (found.start, found.seconds) == (START, 4)


def test_a_run_without_a_plan_has_no_rows() -> None:
    story = Story.of(None)
    assert timeline(story.run, story.now).rows == ()
    assert critical_path(story.run) == ()
