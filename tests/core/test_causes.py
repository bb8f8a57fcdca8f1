"""Every event has a cause, whatever happens; and what is said to turn it does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.building import START, Story, a_plan, stage
from tests.core.test_decider_properties import let_time_pass, plans, step
from tests.core.test_run import STORIES
from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.causes import Cause, causes, chain
from turnout.core.decider import Tick, decide
from turnout.core.model import Outcome
from turnout.core.plan import Approval, Plan, PlannedStage, Retries
from turnout.core.replay import rebuild
from turnout.core.ruling import Rule

RETRIED = re.compile(
    r"with (?:`retries\.max: (\d+)`)?(?: and )?(?:`(\w+)` in `retries\.on`)? it would have been"
)


def the(story: Story, kind: str, rule: Rule | None = None) -> Cause:
    found = [each for each in causes(story.history) if each.event == kind]
    chosen = [each for each in found if rule is None or each.rule is rule]
    assert chosen, [(each.event, each.rule) for each in found]
    return chosen[0]


@given(plans(), st.data())
@settings(max_examples=30, deadline=None)
def test_every_event_of_any_history_has_a_cause_that_leads_to_what_was_heard(
    plan: Plan, data: st.DataObject
) -> None:
    story = Story.of(plan)
    for _ in range(data.draw(st.integers(0, 20))):
        step(story, data.draw)  # type: ignore[arg-type]  # data.draw is a DrawFn in all but name
    let_time_pass(story)
    assert_caused(story)
    assert_flips_are_true(story)


@pytest.mark.parametrize("make", STORIES)
def test_every_way_through_the_table_has_its_causes(make: Callable[[], Story]) -> None:
    assert_caused(make())
    assert_flips_are_true(make())


def assert_caused(story: Story) -> None:
    found = causes(story.history)
    assert [each.version for each in found] == list(range(1, len(story.history) + 1))
    for each in found:
        json.dumps(each.to_json())
        links = chain(found, each.version)
        assert links[-1].heard, f"{each.event} {each.version} leads nowhere: {[x.event for x in links]}"
        assert all(link.by < link.version for link in links)
        assert each.sentence.endswith(".")
        assert not any(flip.endswith(".") for flip in each.flips)
    if story.run.plan:
        for name in story.run.stages:
            assert all(each == found[each.version - 1] for each in causes(story.history, name))


def assert_flips_are_true(story: Story) -> None:
    """Decide again with what the flip says, right where it was decided."""
    for cause in causes(story.history):
        for flip in cause.flips:
            if cause.rule is Rule.RETRIES and cause.event in ("task_finished", "retry_scheduled"):
                again = decided_with(story, cause.version - 1, partial(with_retries, cause, flip))
                kinds = [each.kind for each in again if getattr(each, "task", "") == cause.task]
                assert kinds[0] != cause.event, (flip, kinds)
            if cause.event == "run_halted" and cause.rule is Rule.FAIL_FAST:
                assert not any(
                    isinstance(each, e.RunHalted)
                    for each in decided_with(story, cause.by - 1, partial(without_halting, cause, flip))
                )

            if cause.rule is Rule.NEEDS and flip.startswith("with `allow_failure: true` for "):
                need = flip.removeprefix("with `allow_failure: true` for ").partition(" ")[0]
                ended = story.history[cause.by - 1]
                if isinstance(ended, e.StageFinished) and ended.stage == need and " and " not in flip:
                    again = decided_with(story, cause.by - 1, partial(changed, name=need, allow_failure=True))
                    assert not any(
                        isinstance(each, e.StageSkipped)
                        and (each.stage, each.because) == (cause.stage, "needs")
                        for each in again
                    )


def without_halting(cause: Cause, flip: str, plan: Plan) -> Plan:
    if flip.startswith("with `allow_failure: true`"):
        return changed(plan, str(cause.values["stage"]), allow_failure=True)
    assert flip.startswith("with `fail_fast: false` for the pipeline")
    return plan.with_(fail_fast=False)


def with_retries(cause: Cause, flip: str, plan: Plan) -> Plan:
    planned = plan.stage(cause.stage)
    if cause.event == "retry_scheduled":
        found = re.fullmatch(r"with `retries\.max: (\d+)` it would not have been tried again", flip)
        assert found
        return changed(plan, cause.stage, retries=planned.retries.with_(max=int(found[1])))
    told = RETRIED.match(flip)
    assert told, flip
    on = (*planned.retries.on, Outcome(told[2])) if told[2] else planned.retries.on
    most = int(told[1]) if told[1] else planned.retries.max
    return changed(plan, cause.stage, retries=planned.retries.with_(max=most, on=on))


def changed(plan: Plan, name: str, **changes: Any) -> Plan:
    return plan.with_(
        stages=tuple(each.with_(**changes) if each.name == name else each for each in plan.stages)
    )


def decided_with(story: Story, at: int, change: Callable[[Plan], Plan]) -> tuple[e.Event, ...]:
    before = rebuild(story.history, at)
    assert before.plan is not None
    now = story.history[at].at
    return decide(before.with_(plan=change(before.plan)), Tick(), now, story.taken)


def test_a_retry_says_how_much_of_its_budget_is_spent() -> None:
    story = Story.of(a_plan(stage("lint", agent="lint", retries=1)))
    story.ends("lint", Outcome.FAILURE)
    story.ends("lint", Outcome.FAILURE)
    again, over = the(story, "retry_scheduled"), the(story, "task_finished")
    assert (again.rule, again.values["retries spent"], again.values["retries.max"]) == (Rule.RETRIES, 0, 1)
    assert again.flips == ("with `retries.max: 0` it would not have been tried again",)
    assert (over.rule, over.values["retries spent"]) == (Rule.RETRIES, 1)
    assert over.flips == ("with `retries.max: 2` it would have been tried again",)
    assert [each.event for each in chain(causes(story.history), over.version)] == [
        "task_finished", "attempt_finished", "attempt_started", "attempt_launched", "retry_scheduled",
        "attempt_finished", "attempt_started", "attempt_launched", "stage_started", "run_created",
    ]  # fmt: skip


def test_an_outcome_that_is_not_retried_says_where_it_would_have_to_stand() -> None:
    story = Story.of(a_plan(stage("a", retry=Retries(max=0, on=(Outcome.ERROR,)))))
    story.ends("a", Outcome.FAILURE)
    flips = the(story, "task_finished").flips
    assert flips == ("with `retries.max: 1` and `failure` in `retries.on` it would have been tried again",)


def test_a_lost_attempt_says_when_its_lease_ended_and_what_time_it_was() -> None:
    story = Story.of(a_plan(stage("a")))
    story.starts("a")
    story.later(31, {story.attempt("a").id: START})
    cause = the(story, "attempt_finished")
    assert (cause.rule, cause.heard) == (Rule.LEASE, "time")
    assert cause.values == {
        "lease until": "2026-01-01T00:00:00+00:00",
        "now": "2026-01-01T00:00:31+00:00",
        "lease": 30.0,
        "worker": "w1",
    }
    assert the(story, "retry_scheduled").rule is Rule.INFRASTRUCTURE_RETRIES


def test_a_stage_behind_a_failed_one_says_which_and_what_would_have_let_it_run() -> None:
    story = Story.of(a_plan(stage("a"), stage("b", "a"), stage("c"), fail_fast=True))
    story.starts("c")
    story.ends("a", Outcome.FAILURE)
    story.ends("c")
    skipped = the(story, "stage_skipped")
    assert (skipped.stage, skipped.rule) == ("b", Rule.FAIL_FAST)
    assert skipped.values == {"halted by": "a", "outcome": "failure"}
    assert skipped.flips == ("with `allow_failure: true` for a it would not have been skipped for that",)
    assert the(story, "cancel_ordered").flips[1] == (
        "with `fail_fast: false` for the pipeline it would have gone on"
    )


def test_without_fail_fast_the_need_that_failed_is_the_rule() -> None:
    story = Story.of(a_plan(stage("a"), stage("b", "a"), fail_fast=False))
    story.ends("a", Outcome.FAILURE)
    skipped = the(story, "stage_skipped")
    assert (skipped.rule, skipped.values) == (Rule.NEEDS, {"needs": {"a": "failure"}})
    assert skipped.flips == (
        "had a ended well, its turn would have come",
        "with `allow_failure: true` for a its turn would have come all the same",
    )


def test_approvals_are_counted_against_what_is_required() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval(required=2, by=("@ada", "@eve"), expires=60))))
    story.hear(m.Approve(run="r1", stage="ship", by="bob"))
    story.hear(m.Approve(run="r1", stage="ship", by="ada"))
    story.later(61)
    ignored, given, late = (
        the(story, kind) for kind in ("message_ignored", "stage_approved", "stage_rejected")
    )
    assert (ignored.rule, ignored.stage, ignored.values["may"]) == (Rule.APPROVAL, "ship", ["@ada", "@eve"])
    assert ignored.flips == ("from @ada or @eve it would have counted",)
    assert (given.values["given"], given.values["required"]) == (1, 2)
    assert given.flips == ("1 more approval would let it start",)
    assert late.values["expired at"] == "2026-01-01T00:01:00+00:00"
    assert late.heard == "time"
    assert the(story, "run_halted").rule is Rule.APPROVAL


def test_whoever_may_approve_does_and_as_many_as_are_missing_are_enough() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval(required=3, by=("@ada", "@eve", "@bob")))))
    story.hear(m.Approve(run="r1", stage="ship", by="mallory"))
    told = the(story, "message_ignored").flips[0]
    people = re.findall(r"@(\w+)", told)
    assert told == f"from @{people[0]} or @{people[1]} or @{people[2]} it would have counted"
    for left in (2, 1, 0):
        (heard, *rest) = story.hear(m.Approve(run="r1", stage="ship", by=people[left]))
        assert isinstance(heard, e.StageApproved)
        flips = causes(story.history)[story.history.index(heard)].flips
        some = "1 more approval" if left == 1 else f"{left} more approvals"
        assert flips == ((f"{some} would let it start",) if left else ())
        assert any(isinstance(each, e.StageStarted) for each in rest) == (left == 0)


def test_an_attempt_that_is_heard_of_in_time_goes_on() -> None:
    story = Story.of(a_plan(stage("a")))
    story.starts("a")
    attempt = story.attempt("a").id
    story.later(31, {attempt: START})
    cause = the(story, "attempt_finished")
    assert cause.flips == ("had w1 been heard within 30 s, it would have gone on",)
    before = rebuild(story.history, cause.version - 1)
    assert decide(before, Tick(leases={attempt: story.now + timedelta(seconds=30)}), story.now) == ()


def test_a_stage_that_waited_for_its_environment_says_who_had_it() -> None:
    live = stage("ship", agent="deploy", environment="live")
    story = Story.of(a_plan(live), taken={"live": "r0"})
    story.taken = {}
    story.hear(m.EnvironmentFree(run="r1", environment="live", after="r0"))
    waits, started = the(story, "environment_awaited"), the(story, "stage_started")
    assert (waits.rule, waits.values["held by"]) == (Rule.ENVIRONMENT_FREE, "r0")
    assert (started.rule, started.by, started.heard) == (
        Rule.ENVIRONMENT_FREE,
        waits.version,
        "turnout.run.environment",
    )


def test_events_recorded_before_the_new_fields_are_explained_too() -> None:
    story = Story.of(a_plan(stage("docs", skip="`when.branch` lists main; this change is on x: add")))
    cause = the(story, "stage_skipped")
    assert cause.rule is Rule.WHEN_BRANCH
    assert cause.flips == ("without `when.branch` that rule would not leave it out",)
    assert isinstance(story.run.planned("docs"), PlannedStage)


def test_nothing_recorded_has_no_cause() -> None:
    assert causes(()) == ()
    with pytest.raises(KeyError):
        causes(Story.of(a_plan(stage("a"))).history, "b")
