from __future__ import annotations

from datetime import timedelta

import pytest

from tests.core.building import START, Story, a_plan, kinds, stage, start
from turnout.core import messages as m
from turnout.core.decider import Forged, Tick, decide, due_at
from turnout.core.events import Carried, RunFinished
from turnout.core.evolve import replay
from turnout.core.model import Outcome
from turnout.core.plan import Approval, ConfigProblem, Retries
from turnout.core.run import RunStatus, TaskStatus

LINE = (stage("lint"), stage("test", "lint"), stage("ship", "test"))


def test_stages_run_one_after_the_other_and_the_run_succeeds() -> None:
    story = Story.of(a_plan(*LINE))
    order = []
    while not story.run.finished:
        (task,) = story.active()
        order.append(task)
        story.ends(task)
    assert order == ["lint", "test", "ship"]
    assert story.run.outcome is Outcome.SUCCESS


def test_stages_without_needs_between_them_run_side_by_side() -> None:
    story = Story.of(a_plan(stage("a"), stage("b"), stage("c", "a", "b")))
    assert story.active() == ["a", "b"]
    story.ends("a")
    assert story.active() == ["b"]
    story.ends("b")
    assert story.active() == ["c"]


def test_a_matrix_launches_every_cell() -> None:
    story = Story.of(a_plan(stage("unit", cells=("3.11", "3.12"))))
    assert story.active() == ["unit[3.11]", "unit[3.12]"]


def test_no_more_attempts_run_at_a_time_than_the_plan_allows() -> None:
    story = Story.of(a_plan(stage("unit", cells=("1", "2", "3")), stage("lint"), parallel=2))
    seen = []
    while not story.run.finished:
        assert len(story.active()) <= 2
        seen.append(story.active()[0])
        story.ends(story.active()[0])
    assert sorted(seen) == ["lint", "unit[1]", "unit[2]", "unit[3]"]
    assert story.run.outcome is Outcome.SUCCESS


def test_a_failed_attempt_is_retried_at_once_where_no_backoff_is_asked_for() -> None:
    story = Story.of(a_plan(stage("test", retries=1)))
    events = story.ends("test", Outcome.FAILURE)
    assert kinds(events) == ["attempt_started", "attempt_finished", "retry_scheduled", "attempt_launched"]
    story.ends("test")
    assert story.run.outcome is Outcome.SUCCESS
    assert story.run.stages["test"].attempts == 2


def test_backoff_grows_by_its_factor_and_a_tick_launches_what_is_due() -> None:
    retry = Retries(max=2, backoff=10, factor=3)
    story = Story.of(a_plan(stage("test", retry=retry)))
    story.ends("test", Outcome.FAILURE)
    assert due_at(story.run) == START + timedelta(seconds=10)
    assert story.later(9) == ()
    assert kinds(story.later(1)) == ["attempt_launched"]
    story.ends("test", Outcome.FAILURE)
    assert due_at(story.run) == story.now + timedelta(seconds=30)


def test_an_outcome_that_retries_do_not_name_is_final() -> None:
    story = Story.of(a_plan(stage("test", retry=Retries(max=3, on=(Outcome.ERROR,)))))
    story.ends("test", Outcome.FAILURE)
    assert story.run.outcome is Outcome.FAILURE


def test_a_lost_attempt_is_paid_from_the_infrastructure_budget() -> None:
    story = Story.of(a_plan(stage("test", retries=1)))
    story.ends("test", Outcome.ERROR, lost=True)
    assert (story.task("test").lost, story.task("test").retries) == (1, 0)
    story.ends("test", Outcome.FAILURE)
    assert (story.task("test").lost, story.task("test").retries) == (1, 1)


def test_the_infrastructure_budget_ends() -> None:
    story = Story.of(a_plan(stage("test")))
    for _ in range(3):
        story.later(60)
        story.ends("test", Outcome.ERROR, lost=True)
    assert story.run.outcome is Outcome.ERROR
    assert story.run.stages["test"].attempts == 3


def test_an_attempt_that_nobody_starts_is_lost_at_its_launch_deadline() -> None:
    story = Story.of(a_plan(stage("test")))
    assert due_at(story.run) == START + timedelta(seconds=story.run.timing.launch)
    events = story.later(story.run.timing.launch)
    assert kinds(events)[:2] == ["attempt_finished", "retry_scheduled"]
    assert story.attempt("test").number == 2


def test_an_attempt_whose_lease_has_ended_is_lost() -> None:
    story = Story.of(a_plan(stage("test")))
    story.starts("test")
    attempt = story.attempt("test").id
    lease = {attempt: START + timedelta(seconds=30)}
    assert story.later(29, lease) == ()
    events = story.later(1, lease)
    assert events[0].kind == "attempt_finished"
    assert story.task("test").lost == 1


def test_an_attempt_that_outruns_its_timeout_is_ended_by_the_orchestrator() -> None:
    story = Story.of(a_plan(stage("test", timeout=60)))
    story.starts("test")
    story.later(60 + story.run.timing.timeout_grace)
    assert story.run.outcome is Outcome.TIMED_OUT


def test_a_result_for_an_old_attempt_is_ignored() -> None:
    story = Story.of(a_plan(stage("test", retries=1)))
    late = story.finished("test")
    story.ends("test", Outcome.FAILURE)
    events = story.hear(late)
    assert kinds(events) == ["message_ignored"]
    assert "has ended already" in getattr(events[0], "reason", "")
    assert story.run.outcome is None


def test_a_result_that_comes_twice_counts_once() -> None:
    story = Story.of(a_plan(*LINE))
    message = story.finished("lint")
    story.hear(message)
    assert kinds(story.hear(message)) == ["message_ignored"]


def test_a_message_without_the_attempts_token_is_recorded_and_changes_nothing() -> None:
    story = Story.of(a_plan(stage("test")))
    before = story.run
    events = story.hear(Forged(message="turnout.task.finished", attempt=story.attempt("test").id))
    assert kinds(events) == ["message_ignored"]
    assert story.run.stages == before.stages


def test_an_attempt_the_run_does_not_have_is_ignored() -> None:
    story = Story.of(a_plan(stage("test")))
    stray = story.finished("test").with_(attempt="another")
    assert kinds(story.hear(stray)) == ["message_ignored"]


def test_a_stage_that_fails_for_good_halts_the_run_and_cancels_what_runs_beside_it() -> None:
    story = Story.of(a_plan(stage("a"), stage("b"), stage("c", "a", "b")))
    story.starts("b")
    events = story.ends("a", Outcome.FAILURE)
    assert "run_halted" in kinds(events)
    assert "cancel_ordered" in kinds(events)
    story.ends("b", Outcome.CANCELLED)
    assert story.outcomes() == {"a": "failure", "b": "cancelled", "c": "skipped"}
    assert story.run.outcome is Outcome.FAILURE


def test_without_fail_fast_what_runs_beside_a_failure_goes_on() -> None:
    story = Story.of(a_plan(stage("a"), stage("b"), stage("c", "a"), stage("d", "b"), fail_fast=False))
    story.ends("a", Outcome.FAILURE)
    assert story.active() == ["b"]
    story.ends("b")
    story.ends("d")
    assert story.outcomes() == {"a": "failure", "b": "success", "c": "skipped", "d": "success"}
    assert story.run.outcome is Outcome.FAILURE


def test_a_failed_cell_cancels_the_others_unless_the_stage_says_otherwise() -> None:
    together = Story.of(a_plan(stage("unit", cells=("1", "2"))))
    together.ends("unit[1]", Outcome.FAILURE)
    assert together.attempt("unit[2]").cancel_reason
    apart = Story.of(a_plan(stage("unit", cells=("1", "2"), fail_fast=False)))
    apart.ends("unit[1]", Outcome.FAILURE)
    assert not apart.attempt("unit[2]").cancel_reason
    apart.ends("unit[2]")
    assert apart.run.outcome is Outcome.FAILURE


def test_a_failure_that_is_allowed_does_not_stop_the_run() -> None:
    story = Story.of(a_plan(stage("lint", allow_failure=True), stage("test", "lint")))
    story.ends("lint", Outcome.FAILURE)
    story.ends("test")
    assert story.run.outcome is Outcome.SUCCESS
    assert story.run.stages["lint"].allowed


def test_a_stage_left_out_by_when_lets_the_next_ones_go_on() -> None:
    story = Story.of(a_plan(stage("lint", skip="when.branch: got 'main'"), stage("test", "lint")))
    assert story.outcomes() == {"lint": "skipped", "test": "running"}


def test_cancel_stops_what_runs_and_skips_what_waits() -> None:
    story = Story.of(a_plan(*LINE))
    story.starts("lint")
    story.hear(m.CancelRun(run="r1", by="ada"))
    assert story.run.status is RunStatus.CANCELLING
    story.ends("lint", Outcome.CANCELLED)
    assert story.run.outcome is Outcome.CANCELLED
    assert story.outcomes() == {"lint": "cancelled", "test": "skipped", "ship": "skipped"}


def test_a_cancelled_attempt_that_never_answers_is_given_up_after_the_grace() -> None:
    story = Story.of(a_plan(stage("test")))
    story.starts("test")
    story.hear(m.CancelRun(run="r1", by="ada"))
    story.later(story.run.timing.cancel_grace)
    assert story.run.outcome is Outcome.CANCELLED


def test_a_failure_after_cancel_is_not_retried() -> None:
    story = Story.of(a_plan(stage("test", retries=5)))
    story.hear(m.CancelRun(run="r1", by="ada"))
    story.ends("test", Outcome.FAILURE)
    assert story.run.outcome is Outcome.CANCELLED
    assert story.run.stages["test"].attempts == 1


def test_cancel_of_a_finished_run_is_ignored() -> None:
    story = Story.of(a_plan(stage("test")))
    story.ends("test")
    assert kinds(story.hear(m.CancelRun(run="r1", by="ada"))) == ["message_ignored"]


def test_a_cancelled_run_cancels_a_retry_that_was_waiting() -> None:
    story = Story.of(a_plan(stage("test", retry=Retries(max=1, backoff=60))))
    story.ends("test", Outcome.FAILURE)
    story.hear(m.CancelRun(run="r1", by="ada"))
    assert story.run.outcome is Outcome.CANCELLED


def test_a_newer_run_supersedes_and_says_which() -> None:
    story = Story.of(a_plan(stage("test")))
    story.hear(m.SupersedeRun(run="r1", newer="r2"))
    story.ends("test", Outcome.CANCELLED)
    assert story.run.superseded_by == "r2"
    assert story.run.outcome is Outcome.CANCELLED


def test_a_run_held_by_another_waits_until_it_is_let_go() -> None:
    story = Story.of(a_plan(stage("test")), held_by=("r0",))
    assert story.run.status is RunStatus.QUEUED
    assert story.active() == []
    story.hear(m.ReleaseRun(run="r1", after="r0"))
    assert story.active() == ["test"]


def test_a_held_run_can_be_cancelled() -> None:
    story = Story.of(a_plan(stage("test")), held_by=("r0",))
    story.hear(m.CancelRun(run="r1", by="ada"))
    assert story.run.outcome is Outcome.CANCELLED


def approve(by: str, *teams: str) -> m.Approve:
    return m.Approve(run="r1", stage="ship", by=by, teams=teams)


def test_a_stage_waits_for_as_many_approvals_as_it_requires() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval(required=2))))
    assert story.outcomes() == {"ship": "waiting"}
    story.hear(approve("ada"))
    assert story.active() == []
    assert kinds(story.hear(approve("ada"))) == ["message_ignored"]
    story.hear(approve("grace"))
    assert story.active() == ["ship"]


def test_only_who_may_approve_can() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval(by=("@org/release", "@ada")))))
    assert kinds(story.hear(approve("mallory"))) == ["message_ignored"]
    assert story.active() == []
    story.hear(approve("grace", "@org/release"))
    assert story.active() == ["ship"]


def test_a_rejected_stage_ends_the_run_as_cancelled_with_who_and_why() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval())))
    story.hear(m.Reject(run="r1", stage="ship", by="ada", comment="not today"))
    assert story.run.outcome is Outcome.CANCELLED
    assert story.run.stages["ship"].reason == "rejected by ada: not today"


def test_an_approval_that_nobody_gives_expires() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval(expires=60))))
    assert due_at(story.run) == START + timedelta(seconds=60)
    story.later(60)
    assert story.run.outcome is Outcome.CANCELLED


def test_a_broken_pipeline_file_makes_a_failed_run_with_its_problems() -> None:
    problem = ConfigProblem(file="pipeline.yml", line=3, column=5, path="pipeline.stages[0]", message="no")
    story = Story.of(None, problems=(problem,), reason="the pipeline file is not valid")
    assert story.run.outcome is Outcome.FAILURE
    assert story.run.problems == (problem,)


def test_a_rerun_takes_over_the_stages_that_ended_well() -> None:
    kept = {"lint": Carried(outcome=Outcome.SUCCESS, outputs={"a": "1"})}
    story = Story.of(a_plan(*LINE), rerun_of="r0", rerun_mode="failed", carried=kept)
    assert story.active() == ["test"]
    assert story.run.stages["lint"].outputs == {"a": "1"}


def test_starting_a_run_that_exists_changes_nothing() -> None:
    story = Story.of(a_plan(stage("test")))
    assert kinds(story.hear(start(a_plan(stage("test"))))) == ["message_ignored"]


def test_a_message_for_a_run_that_does_not_exist_decides_nothing() -> None:
    assert decide(None, Tick(), START) == ()


def test_a_result_may_come_without_started_before_it() -> None:
    story = Story.of(a_plan(stage("test")))
    story.ends("test")
    assert story.attempt("test").started_at == START


def test_an_attempt_that_was_never_started_and_reports_cancelled_stays_unstarted() -> None:
    story = Story.of(a_plan(stage("test")))
    story.hear(m.CancelRun(run="r1", by="ada"))
    story.ends("test", Outcome.CANCELLED)
    assert story.attempt("test").started_at is None


def test_a_finished_run_is_never_due() -> None:
    story = Story.of(a_plan(stage("test")))
    story.ends("test")
    assert due_at(story.run) is None
    assert story.later(10_000) == ()


@pytest.mark.parametrize("wide", [1, 200])
def test_each_attempt_has_an_id_of_its_own_that_a_replay_makes_again(wide: int) -> None:
    cells = tuple(str(number) for number in range(wide))
    one = Story.of(a_plan(stage("unit", cells=cells)))
    two = Story.of(a_plan(stage("unit", cells=cells)))
    ids = [task.current.id for _, task in one.run.tasks() if task.current]
    assert len(set(ids)) == wide
    assert ids == [task.current.id for _, task in two.run.tasks() if task.current]


def test_the_last_event_of_a_run_is_its_end() -> None:
    story = Story.of(a_plan(*LINE))
    for name in ("lint", "test", "ship"):
        story.ends(name)
    assert isinstance(story.history[-1], RunFinished)
    run = replay(story.history)
    assert run is not None
    assert run.version == len(story.history)
    assert all(task.status is TaskStatus.FINISHED for _, task in run.tasks())
