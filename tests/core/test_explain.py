from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.building import CHANGE, START, Story, a_plan, stage
from tests.core.test_run import ALL_EVENTS, STORIES
from tests.core.writing import pipeline, planned, push
from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.explain import explain
from turnout.core.model import Outcome
from turnout.core.plan import Approval, ConfigProblem, Retries


def said(story: Story, stage: str = "") -> str:
    return "\n".join(explain(story.history, stage))


def busy() -> Story:
    """Two stages: the first fails once and is tried again, the second never has a chance."""
    story = Story.of(
        a_plan(stage("lint", agent="lint", retries=1), stage("test", "lint")), requested_by="ada"
    )
    story.starts("lint")
    story.ends("lint", Outcome.FAILURE, summary="2 findings.")
    story.ends("lint", Outcome.FAILURE, summary="1 finding")
    return story


def test_the_run_says_why_it_was_made_and_by_which_plan() -> None:
    lines = explain(busy().history)
    assert lines[0] == "The run was made for a push to refs/heads/main at aaaaaaaaaaaa asked for by ada."
    assert lines[1] == f"Its plan has the digest {'0' * 64}."


def test_a_retry_says_its_number_when_it_is_due_its_budget_and_why() -> None:
    expected = (
        "lint is tried again (attempt 2) at 00:00:00 UTC, paid from the pipeline budget: 2 findings.\n"
        "Attempt 2 of lint was handed to the agents."
    )
    assert expected in said(busy())


def test_a_stage_that_never_ran_says_what_stopped_it() -> None:
    lines = explain(busy().history, "test")
    assert lines == (
        "test is planned to start after lint, by the script agent.",
        "The run was halted: lint ended as failure: 1 finding.",
        "test was skipped (halted): lint ended as failure: 1 finding.",
        "The run ended as failure: lint ended as failure: 1 finding.",
    )


def test_a_stage_tells_its_own_story_alone() -> None:
    assert not any("test" in line for line in explain(busy().history, "lint"))


def test_what_was_planned_for_a_stage_is_told_first() -> None:
    planned = stage(
        "unit",
        retry=Retries(max=3, backoff=10, factor=2, on=(Outcome.FAILURE,)),
        allow_failure=True,
        notes=("cpu was cut to 2",),
    )
    assert explain(Story.of(a_plan(planned)).history, "unit")[:4] == (
        "unit is planned to start at once, by the script agent.",
        "It may be retried 3 times on failure, 10 s after the attempt before, then 2 times as long each.",
        "It may fail without harm to the run.",
        "Note: cpu was cut to 2.",
    )


def test_a_stage_that_its_rules_leave_out_says_which_rule() -> None:
    story = Story.of(a_plan(stage("docs", skip="when.branch: got 'main', expected docs/*")))
    assert "docs was skipped (when): when.branch: got 'main', expected docs/*." in said(story, "docs")


def test_what_would_let_it_take_part_is_told_before_anything_has_happened_to_it() -> None:
    config = pipeline("pipeline: {stages: [lint, {agent: deploy, when: {branch: main}}]}")
    change = push("dev")
    story = Story.of(planned(config, change), change=change)
    assert explain(story.history, "deploy")[1:] == (
        "Its `when` leaves it out: `when.branch` lists main; this change is on dev: add a pattern for it to run.",
        "On branch `main` it would take part.",
        "With `dev` added to `when.branch` it would take part.",
    )


def test_an_attempt_that_the_platform_lost_is_told_apart_from_one_that_failed() -> None:
    story = Story.of(a_plan(stage("unit")))
    story.starts("unit")
    story.later(31, {story.attempt("unit").id: story.now})
    assert "The orchestrator (lease deadline) ended unit as error: w1 has fallen silent." in said(story)
    assert "paid from the infrastructure budget" in said(story)


def test_a_decision_of_people_is_told_with_their_words() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval(required=2, expires=60))))
    story.hear(m.Approve(run="r1", stage="ship", by="ada", comment="looks good"))
    story.hear(m.Reject(run="r1", stage="ship", by="eve", comment="friday"))
    assert explain(story.history, "ship")[1:4] == (
        "ship waits for approval until 2026-01-01 00:01 UTC.",
        "ship was approved by ada (looks good); more have to agree.",
        "ship was rejected by eve (friday).",
    )


def test_an_approval_that_came_too_late_or_from_the_wrong_person_is_told() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval(by=("@ada",), expires=60)), stage("unit")))
    story.hear(m.Approve(run="r1", stage="ship", by="eve"))
    story.later(61)
    told = said(story, "ship")
    assert "A turnout.run.approve message was ignored: eve may not decide on ship: @ada may." in told
    assert "ship was not approved in time." in told
    assert "eve" not in said(story, "unit")


def test_a_late_result_is_told_in_the_story_of_its_stage_alone() -> None:
    story = Story.of(a_plan(stage("a"), stage("b")))
    late = story.finished("a")
    story.hear(late)
    story.hear(late)
    assert "ignored: attempt 1 of a has ended already (success)." in said(story, "a")
    assert "ignored" not in said(story, "b")
    assert "ignored" in said(story)


@pytest.mark.parametrize(
    ("by", "newer", "told"),
    [
        ("ada", "", "ada cancelled the run: wrong branch."),
        ("", "", "Somebody cancelled the run: wrong branch."),
        ("", "r2", "The run was superseded by r2, a newer one of its concurrency group."),
    ],
)
def test_the_end_of_a_run_from_outside_says_who_or_what(by: str, newer: str, told: str) -> None:
    story = Story.of(a_plan(stage("a")))
    story.history.append(e.CancelRequested(at=START, by=by, reason="wrong branch", superseded_by=newer))
    assert told in said(story)


def test_a_run_that_waits_says_for_which() -> None:
    assert "It waits for r0 of the same concurrency group." in said(
        Story.of(a_plan(stage("a")), held_by=("r0",))
    )


def test_a_rerun_says_of_what_and_what_it_took_over() -> None:
    carried = {"a": e.Carried(outcome=Outcome.SUCCESS)}
    story = Story.of(a_plan(stage("a"), stage("b", "a")), rerun_of="r0", rerun_mode="failed", carried=carried)
    assert "It reruns r0 (failed); stages taken over: a." in said(story)


def test_a_broken_pipeline_file_is_explained_by_its_problems() -> None:
    problem = ConfigProblem(file="pipeline.yml", line=3, column=5, path="pipeline.stages[0]", message="no")
    told = said(Story.of(None, problems=(problem,), reason="the pipeline file is not valid"))
    assert "The pipeline file is not valid: pipeline.yml:3:5: pipeline.stages[0]: no." in told
    assert "The run ended as failure: the pipeline file is not valid." in told


def test_a_stage_that_the_run_does_not_have_is_refused() -> None:
    for story in (busy(), Story.of(None)):
        with pytest.raises(KeyError):
            explain(story.history, "nobody")


def test_without_a_history_nothing_is_recorded() -> None:
    assert explain([]) == ("Nothing is recorded.",)


@pytest.mark.parametrize("kind", sorted(ALL_EVENTS))
def test_every_kind_of_event_has_its_sentence(kind: str) -> None:
    history: list[Any] = [*Story.of(a_plan(stage("a"))).history[:1], ALL_EVENTS[kind]()]
    assert len(explain(history)) == 3


@given(st.sampled_from(range(len(STORIES))))
def test_every_story_is_told_in_whole_sentences(number: int) -> None:
    for line in explain(STORIES[number]().history):
        assert line.endswith(".")
        assert not line.endswith("..")
        assert "\n" not in line


def test_a_reason_over_many_lines_stays_one_sentence() -> None:
    story = Story.of(a_plan(stage("a")))
    story.ends("a", Outcome.ERROR, reason="no npm.\nInstall it.\n")
    assert "The agent ended a as error: no npm. Install it." in explain(story.history)
    assert CHANGE.ref in said(story)
