from __future__ import annotations

import pytest

from tests.core.building import Story, a_plan, stage
from tests.reporting.telling import LINTED, PROBLEM, TWO_FAILED, ends, passes, pipeline, told
from turnout.core import messages as m
from turnout.core.model import Outcome
from turnout.core.plan import Approval, Notify
from turnout.core.result import Result
from turnout.reporting.policy import end_is_told, is_told, recovered


def cancel(story: Story) -> Story:
    story.hear(m.CancelRun(run=story.run.id, by="ada"))
    for task in story.active():
        ends(story, task, Result(outcome=Outcome.CANCELLED))
    assert story.run.outcome is Outcome.CANCELLED
    return story


def test_a_run_that_has_just_started_is_told_only_where_success_is_asked_for() -> None:
    assert not is_told(told(pipeline()).run, "")
    assert is_told(told(pipeline(on=("failure", "success"))).run, "")


def test_a_failed_attempt_is_told_at_once() -> None:
    story = ends(passes(told(pipeline()), "lint"), "test", TWO_FAILED)
    assert story.run.stages["test"].outcome is None
    assert is_told(story.run, "")


def test_an_attempt_that_the_platform_lost_and_tries_again_alarms_nobody() -> None:
    lost = Result(outcome=Outcome.ERROR, lost=True, reason="no heartbeat")
    assert not is_told(ends(told(pipeline()), "lint", lost).run, "")


def test_a_task_that_was_lost_for_good_is_told() -> None:
    lost = Result(outcome=Outcome.ERROR, lost=True, reason="no heartbeat")
    story = told(pipeline().with_(infrastructure_retries=0))
    assert is_told(ends(story, "lint", lost).run, "")


def test_a_failure_that_the_pipeline_allows_is_no_reason_to_tell() -> None:
    story = told(a_plan(stage("lint", allow_failure=True), stage("test", "lint")))
    ends(story, "lint", LINTED)
    assert not is_told(story.run, "")
    passes(story, "test")
    assert story.run.outcome is Outcome.SUCCESS
    assert not is_told(story.run, "")


def test_a_stage_that_waits_for_people_is_told() -> None:
    assert is_told(told(a_plan(stage("ship", approval=Approval()))).run, "")


@pytest.mark.parametrize("on", [("success",), ("recovered",), ()])
def test_failure_always_alerts_whatever_is_asked_for(on: tuple[str, ...]) -> None:
    story = ends(told(pipeline(on=on)), "lint", LINTED)
    assert story.run.finished
    assert is_told(story.run, "")
    assert end_is_told(story.run, "success")


def test_a_broken_pipeline_file_is_told_with_the_default_wishes() -> None:
    story = told(None, problems=(PROBLEM,), reason="1 problem")
    assert story.run.outcome is Outcome.FAILURE
    assert is_told(story.run, "")


@pytest.mark.parametrize(
    ("previous", "on", "expected"),
    [
        ("failure", ("failure", "recovered"), True),
        ("timed_out", ("failure", "recovered"), True),
        ("error", ("failure",), False),
        ("success", ("failure", "recovered"), False),
        ("cancelled", ("failure", "recovered"), False),
        ("", ("failure", "recovered"), False),
        ("success", ("success",), True),
    ],
)
def test_success_is_told_when_asked_for_or_after_a_run_that_went_wrong(
    previous: str, on: tuple[str, ...], expected: bool
) -> None:
    run = passes(told(pipeline(on=on)), "lint", "test", "script").run
    assert run.outcome is Outcome.SUCCESS
    assert is_told(run, previous) is expected
    assert end_is_told(run, previous) is expected


def test_a_cancelled_run_makes_no_message_even_after_a_failure() -> None:
    story = told(a_plan(stage("lint"), stage("test", "lint"), notify=Notify(on=("success",))))
    assert not is_told(cancel(story).run, "failure")


def test_a_run_in_which_every_stage_was_skipped_recovers_nothing() -> None:
    skipped = stage("docs", skip="no file under docs/ has changed")
    run = told(a_plan(skipped)).run
    assert run.outcome is Outcome.SUCCESS
    assert not recovered(run, "failure")
    assert not is_told(run, "failure")


def test_only_success_recovers() -> None:
    assert recovered(passes(told(pipeline()), "lint", "test", "script").run, "failure")
    assert not recovered(told(pipeline()).run, "failure")
