"""Whoever keeps launches lets one launch an attempt at a time, and remembers what it became."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.contracts.together import run_together
from turnout.core.errors import NotFound
from turnout.core.ports import Launch, Launches

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class LaunchesContract:
    @pytest.fixture
    def launches(self) -> Launches:
        raise NotImplementedError("the subclass gives the launches")

    def test_the_first_to_reserve_has_the_launch(self, launches: Launches) -> None:
        assert launches.reserve("a", "cloudrun", NOW, at(60)) == Launch(
            "a", "cloudrun", "", 1, at(60), NOW, mine=True
        )
        second = launches.reserve("a", "cloudrun", at(59), at(500))
        assert second == Launch("a", "cloudrun", "", 1, at(60), NOW)

    def test_a_reservation_that_lapsed_without_a_job_goes_to_the_next_who_asks(
        self, launches: Launches
    ) -> None:
        launches.reserve("a", "cloudrun", NOW, at(60))
        assert launches.reserve("a", "cloudbuild", at(60), at(120)) == Launch(
            "a", "cloudbuild", "", 2, at(120), NOW, mine=True
        )
        assert not launches.reserve("a", "cloudrun", at(61), at(200)).mine

    def test_what_was_launched_is_never_reserved_again(self, launches: Launches) -> None:
        launches.reserve("a", "cloudrun", NOW, at(60))
        assert launches.record("a", "executions/1") == "executions/1"
        found = launches.reserve("a", "cloudrun", at(10_000), at(20_000))
        assert (found.mine, found.handle) == (False, "executions/1")
        assert launches.find("a") == found

    def test_the_first_job_that_is_recorded_is_the_attempts(self, launches: Launches) -> None:
        launches.reserve("a", "cloudrun", NOW, at(60))
        launches.record("a", "executions/1")
        assert launches.record("a", "executions/2") == "executions/1"

    def test_nothing_is_recorded_of_what_nobody_has_reserved(self, launches: Launches) -> None:
        with pytest.raises(NotFound, match="never reserved"):
            launches.record("a", "executions/1")
        assert launches.find("a") is None

    def test_a_turn_that_is_given_back_is_free_at_once(self, launches: Launches) -> None:
        launches.reserve("a", "cloudrun", NOW, at(60))
        launches.release("a", 1)
        assert launches.reserve("a", "cloudrun", at(1), at(60)).turn == 1

    def test_only_the_turn_that_one_has_is_given_back(self, launches: Launches) -> None:
        launches.reserve("a", "cloudrun", NOW, at(60))
        launches.reserve("a", "cloudrun", at(60), at(120))
        launches.release("a", 1)
        assert not launches.reserve("a", "cloudrun", at(61), at(200)).mine
        launches.record("a", "executions/1")
        launches.release("a", 2)
        assert launches.find("a") is not None

    def test_of_many_at_once_one_has_it(self, launches: Launches) -> None:
        got: list[bool] = []
        run_together([lambda: got.append(launches.reserve("a", "cloudrun", NOW, at(60)).mine)] * 6)
        assert sorted(got) == [False] * 5 + [True]
