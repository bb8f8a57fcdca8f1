from __future__ import annotations

from datetime import timedelta

import pytest

from tests.core.building import START, Story, a_plan, stage
from tests.reporting.telling import CHANGE, LINTED, PROBLEM, TWO_FAILED, ends, passes, pipeline, told
from turnout.core import messages as m
from turnout.core.model import ChangeKind, Outcome
from turnout.core.plan import Approval
from turnout.core.result import Result
from turnout.core.result import Tests as Cases
from turnout.reporting.view import Light, RunView, StageView, look


def lights(view: RunView) -> dict[str, Light]:
    return {each.name: each.light for each in view.stages}


def of(view: RunView, name: str) -> StageView:
    return next(each for each in view.stages if each.name == name)


@pytest.fixture
def retried() -> Story:
    """lint passed, test failed once and is at its second attempt."""
    return ends(passes(told(pipeline()), "lint"), "test", TWO_FAILED, 62.0)


def test_the_headline_says_project_state_and_branch() -> None:
    assert look(told(pipeline()).run).headline == "shop is running on main"


def test_each_stage_has_its_light_attempts_and_duration(retried: Story) -> None:
    view = look(retried.run)
    assert lights(view) == {"lint": Light.SUCCESS, "test": Light.RETRYING, "script": Light.PENDING}
    assert of(view, "lint").seconds == 3.0
    assert of(view, "test").attempts == 2
    assert of(view, "test").note == "trying again after: 2 of 142 tests failed"
    assert (view.light, view.word, view.seconds) == (Light.RETRYING, "is trying again", None)


def test_the_last_word_of_a_task_stands_until_a_later_attempt_has_ended(retried: Story) -> None:
    assert [each.title for each in look(retried.run).standing] == ["test, attempt 1, failed"]
    passes(retried, "test")
    view = look(retried.run)
    assert view.standing == ()
    assert [(each.title, each.again) for each in view.troubles] == [("test, attempt 1, failed", True)]


def test_a_test_that_failed_twice_stands_with_its_second_attempt(retried: Story) -> None:
    ends(retried, "test", TWO_FAILED)
    view = look(retried.run)
    assert [each.title for each in view.standing] == ["test, attempt 2, failed"]
    assert [each.again for each in view.troubles] == [True, False]
    assert (view.light, view.headline) == (Light.FAILURE, "shop failed on main")
    assert lights(view)["script"] is Light.SKIPPED
    assert of(view, "script").note.startswith("skipped: ")


def test_troubles_come_in_the_order_in_which_they_ended() -> None:
    story = told(a_plan(stage("slow"), stage("quick"), fail_fast=False))
    story.starts("slow")
    ends(story, "quick", LINTED, 1.0)
    ends_again = story.attempt("slow").id
    story.now += timedelta(seconds=60)
    story.hear(
        m.TaskFinished(
            run=story.run.id, task="slow", attempt=ends_again, token="-", at=story.now, result=TWO_FAILED
        )
    )
    assert [each.task for each in look(story.run).troubles] == ["quick", "slow"]


def test_success_after_a_failed_run_is_called_recovered() -> None:
    run = passes(told(pipeline()), "lint", "test", "script").run
    assert look(run, previous="failure").word == "recovered"
    assert look(run, previous="success").word == "succeeded"
    assert look(run).seconds == 9.0


def test_a_failure_that_is_allowed_is_a_warning_and_does_not_stand() -> None:
    story = told(a_plan(stage("lint", allow_failure=True), stage("test", "lint")))
    ends(story, "lint", LINTED)
    view = look(story.run)
    assert lights(view)["lint"] is Light.ALLOWED
    assert view.standing == ()
    assert len(view.troubles) == 1


def test_a_matrix_says_how_many_cells_succeeded_and_which_did_not() -> None:
    story = told(a_plan(stage("unit", cells=("a", "b"), fail_fast=False)))
    passes(story, "unit[a]")
    ends(story, "unit[b]", TWO_FAILED)
    assert of(look(story.run), "unit").note == "1 of 2 cells succeeded; not: unit[b]"


def test_a_waiting_stage_says_what_is_wanted_of_whom_until_when() -> None:
    approval = Approval(required=2, by=("@acme/release",), expires=3600.0)
    story = told(a_plan(stage("ship", environment="production", approval=approval)))
    wanted = look(story.run).wanted[0]
    assert (wanted.stage, wanted.environment, wanted.required, wanted.by) == (
        "ship",
        "production",
        2,
        ("@acme/release",),
    )
    assert wanted.expires_at == START + timedelta(hours=1)
    assert look(story.run).light is Light.WAITING


def test_nothing_is_wanted_of_people_once_the_run_is_over() -> None:
    story = told(a_plan(stage("ship", approval=Approval())))
    story.hear(m.Reject(run=story.run.id, stage="ship", by="ada", comment="not today"))
    view = look(story.run)
    assert view.wanted == ()
    assert view.finished
    assert "not today" in of(view, "ship").note


def test_flaky_tests_are_named() -> None:
    story = ends(passes(told(pipeline()), "lint"), "test", TWO_FAILED)
    ends(
        story,
        "test",
        Result(outcome=Outcome.SUCCESS, tests=Cases(total=142, passed=142, flaky=("test_total",))),
    )
    assert look(story.run).flaky == ("test_total",)


def test_a_cancelled_run_says_who_did_it() -> None:
    story = told(pipeline())
    story.hear(m.CancelRun(run=story.run.id, by="ada", reason="wrong branch"))
    assert look(story.run).word == "is being cancelled"
    ends(story, "lint", Result(outcome=Outcome.CANCELLED))
    view = look(story.run)
    assert (view.light, view.word, view.reason) == (
        Light.CANCELLED,
        "was cancelled",
        "cancelled by ada: wrong branch",
    )


def test_a_superseded_run_names_the_newer_one() -> None:
    story = told(pipeline())
    story.hear(m.SupersedeRun(run=story.run.id, newer="12345678-aaaa"))
    ends(story, "lint", Result(outcome=Outcome.CANCELLED))
    view = look(story.run)
    assert (view.word, view.reason) == ("was superseded", "a newer change took over: run 12345678")


def test_a_broken_pipeline_file_shows_its_problems() -> None:
    view = look(told(None, problems=(PROBLEM,), reason="1 problem").run)
    assert (view.word, view.problems, view.stages) == ("failed", (PROBLEM,), ())


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"kind": ChangeKind.PULL_REQUEST, "number": 7, "branch": "fix"}, "pull request #7 (fix)"),
        ({"kind": ChangeKind.TAG, "tag": "v1.2", "branch": ""}, "tag v1.2"),
        ({"branch": "", "ref": "refs/heads/topic"}, "topic"),
    ],
)
def test_the_place_is_said_as_people_call_it(changes: dict[str, object], where: str) -> None:
    assert look(told(pipeline(), change=CHANGE.with_(**changes)).run).where == where


def test_a_run_that_no_push_brought_says_what_did() -> None:
    by_hand = CHANGE.with_(kind=ChangeKind.MANUAL, dirty=True)
    view = look(told(pipeline(), change=by_hand, requested_by="ada").run)
    assert (view.cause, view.dirty) == ("started by hand by ada", True)
    rerun = look(told(pipeline(), rerun_of="12345678-aaaa", requested_by="ada").run)
    assert rerun.cause == "rerun of 12345678 by ada"


def test_the_link_is_into_the_console_where_there_is_one() -> None:
    run = told(pipeline()).run
    assert look(run).link == ""
    assert look(run, console="https://ci.example.org/").link == f"https://ci.example.org/runs/{run.id}"


def test_a_commit_url_that_is_no_web_address_is_no_link() -> None:
    assert look(told(pipeline(), change=CHANGE.with_(url="javascript:alert(1)")).run).url == ""


def test_a_stage_that_waits_for_its_environment_says_for_whom() -> None:
    story = Story.of(a_plan(stage("ship", agent="deploy", environment="live")), taken={"live": "0123456789"})
    assert of(look(story.run), "ship").note == "waits for environment live: run 01234567 is at it"


def test_a_rollback_is_told_with_the_stage_that_it_undoes() -> None:
    story = Story.of(a_plan(stage("ship", agent="deploy"), stage("check", "ship", rollback="ship")))
    story.ends("ship")
    story.ends("check", Outcome.FAILURE)
    assert of(look(story.run), "ship").note == "is being rolled back: check failed"
    story.starts("ship[rollback]")
    story.ends("ship[rollback]")
    view = look(story.run)
    assert of(view, "ship").note == "rolled back: check failed"
    assert view.reason == "check ended as failure; ship was rolled back"


def test_a_rollback_that_failed_is_a_trouble_that_stands() -> None:
    story = Story.of(a_plan(stage("ship", agent="deploy"), stage("check", "ship", rollback="ship")))
    story.ends("ship")
    story.ends("check", Outcome.FAILURE)
    story.ends("ship[rollback]", Outcome.FAILURE, reason="no revision to go back to")
    view = look(story.run)
    assert of(view, "ship").note == "rollback failed: no revision to go back to"
    assert {each.task for each in view.standing} == {"check", "ship[rollback]"}
    assert view.reason.endswith("the rollback of ship failed: no revision to go back to")
