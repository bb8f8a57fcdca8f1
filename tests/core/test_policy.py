from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.building import Story, a_plan, stage
from turnout.core.events import Timing
from turnout.core.model import Outcome
from turnout.core.plan import PlannedStage, Retries
from turnout.core.policy import (
    LOST_BACKOFF,
    MAX_BACKOFF,
    Retry,
    attempt_token,
    check_gateway_token,
    gateway_token,
    gateway_token_expiry,
    may_approve,
    outcome_of_run,
    outcome_of_stage,
    pass_expiry,
    retry_after,
    time_to_end,
    verify_token,
)
from turnout.core.result import Result
from turnout.core.run import RunStatus, Stage, Task

BAD = [Outcome.ERROR, Outcome.TIMED_OUT, Outcome.FAILURE, Outcome.CANCELLED]


def after(outcome: Outcome, retry: Retries, *, spent: int = 0) -> Retry | None:
    run = Story.of(a_plan(stage("a"))).run
    return retry_after(run, stage("a", retry=retry), Task(id="a", retries=spent), Result(outcome=outcome))


def lost(spent: int, *, budget: int = 2, retry: Retries | None = None) -> Retry | None:
    run = Story.of(a_plan(stage("a"), infrastructure_retries=budget)).run
    result = Result(outcome=Outcome.ERROR, lost=True)
    return retry_after(run, stage("a", retry=retry or Retries()), Task(id="a", lost=spent), result)


def test_without_a_budget_nothing_is_tried_again() -> None:
    assert after(Outcome.FAILURE, Retries()) is None


@pytest.mark.parametrize("outcome", BAD[:3])
def test_what_the_stage_retries_on_is_tried_again(outcome: Outcome) -> None:
    assert after(outcome, Retries(max=1)) == Retry("pipeline", 0)


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.SUCCESS])
def test_neither_success_nor_a_cancel_is_tried_again(outcome: Outcome) -> None:
    assert after(outcome, Retries(max=1)) is None


def test_an_outcome_that_is_not_named_is_not_tried_again() -> None:
    only = Retries(max=1, on=(Outcome.ERROR,))
    assert after(Outcome.FAILURE, only) is None
    assert after(Outcome.ERROR, only) == Retry("pipeline", 0)


def test_the_wait_grows_by_the_factor_with_every_retry() -> None:
    grows = Retries(max=4, backoff=10, factor=3)
    waits = [after(Outcome.FAILURE, grows, spent=spent) for spent in range(5)]
    assert waits == [*(Retry("pipeline", each) for each in (10, 30, 90, 270)), None]


@pytest.mark.parametrize("factor", [1e300, 10.0])
def test_the_wait_has_a_bound(factor: float) -> None:
    assert after(Outcome.FAILURE, Retries(max=99, backoff=60, factor=factor), spent=50) == Retry(
        "pipeline", MAX_BACKOFF
    )


def test_the_first_retry_of_a_lost_attempt_is_at_once_and_the_next_one_waits() -> None:
    assert [lost(0), lost(1), lost(2)] == [
        Retry("infrastructure", 0),
        Retry("infrastructure", LOST_BACKOFF),
        None,
    ]


def test_a_lost_attempt_never_costs_the_pipelines_own_budget() -> None:
    assert lost(0, budget=0, retry=Retries(max=5)) is None


# --- outcomes of parts ---------------------------------------------------------------------------------


def ended(name: str, *outcomes: Outcome) -> Stage:
    tasks = {
        f"{name}[{number}]": Task(id=f"{name}[{number}]", outcome=outcome, reason=f"it was {outcome.value}")
        for number, outcome in enumerate(outcomes)
    }
    return Stage(name=name, tasks=tasks)


def test_a_stage_is_as_bad_as_the_worst_of_its_tasks() -> None:
    for index, worst in enumerate(BAD):
        rest = [Outcome.SUCCESS, *reversed(BAD[index:])]
        assert outcome_of_stage(ended("a", *rest)) == (worst, f"it was {worst.value}")


def test_a_stage_whose_tasks_all_succeeded_has_succeeded() -> None:
    assert outcome_of_stage(ended("a", Outcome.SUCCESS, Outcome.SUCCESS)) == (Outcome.SUCCESS, "")


def story(*stages: PlannedStage, **more: bool) -> Story:
    return Story.of(a_plan(*stages, **more))


def test_a_run_is_as_bad_as_its_worst_stage_that_matters() -> None:
    told = story(stage("a", allow_failure=True), stage("b"), fail_fast=False)
    told.ends("a", Outcome.ERROR)
    told.ends("b", Outcome.FAILURE, reason="2 tests failed")
    assert outcome_of_run(told.run) == (Outcome.FAILURE, "b ended as failure: 2 tests failed")


def test_a_run_with_an_allowed_failure_has_succeeded() -> None:
    told = story(stage("a", allow_failure=True))
    told.ends("a", Outcome.FAILURE)
    assert outcome_of_run(told.run) == (Outcome.SUCCESS, "")


def test_a_halted_run_ended_as_the_stage_that_halted_it() -> None:
    told = story(stage("a"), stage("b", "a"))
    told.ends("a", Outcome.TIMED_OUT, reason="it ran for 15 min")
    assert told.run.halted_by == "a"
    assert outcome_of_run(told.run) == (Outcome.TIMED_OUT, "a ended as timed_out: it ran for 15 min")


@pytest.mark.parametrize(
    ("by", "reason", "said"),
    [
        ("ada", "wrong branch", "wrong branch"),
        ("ada", "", "cancelled by ada"),
        ("", "", "cancelled"),
    ],
)
def test_a_cancelled_run_says_who_and_why(by: str, reason: str, said: str) -> None:
    run = story(stage("a")).run.with_(status=RunStatus.CANCELLING, cancelled_by=by, reason=reason)
    assert outcome_of_run(run) == (Outcome.CANCELLED, said)


# --- who may -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "person", "teams", "may"),
    [
        ([], "anyone", [], True),
        (["@ada"], "ada", [], True),
        (["@ada"], "@ada", [], True),
        (["@ada"], "adam", [], False),
        (["@org/release"], "ada", ["@org/release"], True),
        (["@org/release"], "ada", ["@org/web"], False),
        (["@org/release"], "org/release", [], False),
        (["@org/release", "@grace"], "grace", [], True),
    ],
)
def test_those_who_are_named_may_approve(
    allowed: list[str], person: str, teams: list[str], may: bool
) -> None:
    assert may_approve(allowed, person, teams) is may


@given(st.binary(min_size=1), st.text(), st.text())
def test_a_token_proves_one_attempt(key: bytes, attempt: str, other: str) -> None:
    token = attempt_token(key, attempt)
    assert verify_token(key, attempt, token)
    assert verify_token(key, other, token) == (other == attempt)


@given(st.text())
def test_nothing_but_the_token_is_taken_for_it(guess: str) -> None:
    assert not verify_token(b"key", "attempt", guess)
    assert not verify_token(b"other key", "attempt", attempt_token(b"key", "attempt"))


@given(st.binary(min_size=1), st.text(), st.text(), st.integers(1, 10**9))
def test_a_pass_proves_one_attempt_until_it_expires(
    key: bytes, attempt: str, other: str, seconds: int
) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    expires = now + timedelta(seconds=seconds)
    token = gateway_token(key, attempt, expires)
    assert check_gateway_token(key, attempt, token, now) == "valid"
    assert check_gateway_token(key, attempt, token, expires) == "expired"
    assert gateway_token_expiry(token) == int(expires.timestamp())
    if other != attempt:
        assert check_gateway_token(key, other, token, now) == "forged"
    assert check_gateway_token(key + b"x", attempt, token, now) == "forged"
    assert not verify_token(key, attempt, token), "it says nothing on the topics"
    assert check_gateway_token(key, attempt, attempt_token(key, attempt), now) == "forged"


@given(st.text())
def test_nothing_but_a_pass_is_taken_for_one(guess: str) -> None:
    assert check_gateway_token(b"key", "attempt", guess, datetime(2030, 1, 1, tzinfo=UTC)) == "forged"


def test_the_expiry_of_a_pass_cannot_be_put_off() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    version, until, mac = gateway_token(b"key", "attempt", now).split(".")
    later = f"{version}.{int(until) + 1}.{mac}"
    assert check_gateway_token(b"key", "attempt", later, now) == "forged"


def test_a_pass_outlives_launch_work_and_cancelling() -> None:
    now, timing = datetime(2030, 1, 1, tzinfo=UTC), Timing()
    left = (pass_expiry(timing, 900.0, now) - now).total_seconds()
    assert left > timing.launch + 900.0 + timing.timeout_grace + timing.cancel_grace


def test_who_may_have_to_undo_something_gets_the_time_for_it() -> None:
    given = {agent: time_to_end(agent, 30.0) for agent in ("script", "build", "deploy")}
    assert given == {"script": 30.0, "build": 75.0, "deploy": 120.0}
    assert time_to_end("deploy", 600.0) == 600.0
