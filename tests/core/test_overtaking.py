from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.building import CHANGE, START, Story, a_plan, stage
from turnout.core.causes import causes
from turnout.core.change import Change
from turnout.core.events import StageSkipped
from turnout.core.model import ChangeKind, Outcome
from turnout.core.overtaking import outdated, overtaken
from turnout.core.ruling import Rule

A, B, C = "a" * 40, "b" * 40, "c" * 40


def pushed(sha: str, second: int | None = None, **more: Any) -> Change:
    at = None if second is None else START + timedelta(seconds=second)
    return CHANGE.with_(sha=sha, moved_at=at, **more)


def test_what_was_pushed_earlier_is_overtaken_whatever_came_first() -> None:
    first, second = pushed(A, 1), pushed(B, 2)
    assert overtaken(first, second)
    assert not overtaken(second, first)


def test_where_the_second_is_the_same_what_follows_directly_is_newer() -> None:
    first, second = pushed(A, 1), pushed(B, 1, before=A)
    assert overtaken(first, second)
    assert not overtaken(second, first)
    assert overtaken(pushed(A), pushed(B, before=A))
    assert not overtaken(pushed(A), pushed(C, before=B))


def test_a_branch_that_was_moved_there_and_back_is_told_by_the_time_or_not_at_all() -> None:
    there, back = pushed(B, 2, before=A), pushed(A, 3, before=B)
    assert overtaken(there, back)
    assert not overtaken(back, there)
    there, back = pushed(B, before=A), pushed(A, before=B)
    assert not overtaken(there, back)
    assert not overtaken(back, there)


@pytest.mark.parametrize(
    "other",
    [
        pushed(A, 9),
        pushed(B, 9, ref="refs/heads/fix"),
        pushed(B, 9, repository="acme/till"),
        pushed(B, 9, kind=ChangeKind.MANUAL),
        pushed(B, 9, kind=ChangeKind.SCHEDULE),
    ],
    ids=["same commit", "another branch", "another repository", "by hand", "by the clock"],
)
def test_nothing_else_overtakes(other: Change) -> None:
    assert not overtaken(pushed(A, 1), other)
    assert not overtaken(other, pushed(A, 10))


@given(st.lists(st.integers(0, 5), min_size=3, max_size=3))
def test_nobody_overtakes_in_a_circle(seconds: list[int]) -> None:
    chain = [
        pushed(sha, at, before=before)
        for (before, sha), at in zip(((C, A), (A, B), (B, C)), seconds, strict=True)
    ]
    for one, two, three in permutations(chain):
        assert not (overtaken(one, two) and overtaken(two, one))
        if len(set(seconds)) == 3:
            assert not (overtaken(one, two) and overtaken(two, three) and overtaken(three, one))


def test_a_deploy_is_left_out_where_something_newer_is_and_what_needs_it_too() -> None:
    live = stage("ship", "test", agent="deploy", environment="live")
    told = Story.of(a_plan(stage("test"), live, stage("after", "ship")), newer={"live": "r9"})
    told.ends("test")
    ship, after = told.run.stages["ship"], told.run.stages["after"]
    assert (ship.outcome, after.outcome) == (Outcome.SKIPPED, Outcome.SKIPPED)
    assert ship.reason == "run r9 has deployed a newer main to live"
    assert told.run.finished
    (skipped,) = (each for each in told.history if isinstance(each, StageSkipped) and each.stage == "ship")
    assert skipped.because == "overtaken"


def test_it_is_explained() -> None:
    told = Story.of(a_plan(stage("ship", agent="deploy", environment="live")), newer={"live": "r9"})
    (cause,) = (each for each in causes(told.history, "ship") if each.rule is Rule.OVERTAKEN)
    assert cause.values["environment"] == "live"
    assert cause.flips == ("a rerun of this run deploys it all the same: turnout rerun r1",)


def test_other_stages_of_the_environment_and_other_environments_go_on() -> None:
    told = Story.of(
        a_plan(
            stage("smoke", environment="live"),
            stage("east", agent="deploy", environment="east"),
            stage("west", agent="deploy", environment="live"),
        ),
        newer={"live": "r9"},
    )
    assert told.active() == ["smoke", "east"]


def test_a_rerun_puts_back_what_somebody_wants_back() -> None:
    run = Story.of(a_plan(stage("ship"))).run.with_(change=pushed(A, 1))
    newer = run.with_(id="r2", change=pushed(B, 2))
    assert outdated(run, newer)
    assert not outdated(run.with_(rerun_of="r0"), newer)
