"""What an answer means for the record."""

from __future__ import annotations

import pytest

from turnout.core.posting import (
    Answered,
    Delivered,
    GiveUp,
    Patience,
    Reply,
    TryAgain,
    Unanswered,
    Unreachable,
    judge,
)

PATIENCE = Patience(tries=3, first=1, factor=2, longest=10)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_success_is_done(status: int) -> None:
    assert judge(Answered(status), 0, PATIENCE) == Delivered()


@pytest.mark.parametrize("status", [301, 400, 404, 409, 413, 422])
def test_a_refusal_is_given_up_at_once_with_its_status(status: int) -> None:
    verdict = judge(Answered(status, text="no such thing"), 0, PATIENCE)
    assert verdict == GiveUp(f"answered {status}: no such thing", status)


@pytest.mark.parametrize("status", [401, 403])
def test_a_message_is_not_to_blame_for_who_delivers_it(status: int) -> None:
    assert judge(Answered(status), 9, PATIENCE) == TryAgain(f"answered {status}", counts=False)


@pytest.mark.parametrize("reply", [Answered(500), Answered(502), Answered(408), Unanswered("read timed out")])
def test_a_failure_is_tried_again_until_the_tries_are_used_up(reply: Reply) -> None:
    assert isinstance(judge(reply, 0, PATIENCE), TryAgain)
    assert isinstance(judge(reply, 1, PATIENCE), TryAgain)
    last = judge(reply, 2, PATIENCE)
    assert isinstance(last, GiveUp)
    assert "given up after 3 tries" in last.reason


@pytest.mark.parametrize(
    "reply", [Unreachable("connection refused"), Answered(429), Answered(503), Answered(503, 7.0)]
)
def test_a_function_that_is_away_or_asks_to_wait_never_makes_a_dead_letter(reply: Reply) -> None:
    verdict = judge(reply, 10_000, PATIENCE)
    assert isinstance(verdict, TryAgain)
    assert not verdict.counts


def test_the_wait_that_was_asked_for_is_passed_on() -> None:
    verdict = judge(Answered(503, 7.0), 0, PATIENCE)
    assert isinstance(verdict, TryAgain)
    assert verdict.after == 7.0


def test_the_wait_grows_up_to_the_longest() -> None:
    assert [PATIENCE.wait(tries) for tries in (1, 2, 3, 4, 5, 500)] == [1, 2, 4, 8, 10, 10]


def test_the_wait_asked_for_wins_within_reason() -> None:
    assert PATIENCE.wait(1, asked=30) == 30
    assert PATIENCE.wait(1, asked=-5) == 0
    assert PATIENCE.wait(1, asked=1e9) == 100
