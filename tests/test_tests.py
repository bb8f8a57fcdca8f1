"""What the tests themselves promise: no skip where real parts are required, no touch of the user's home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.real import REQUIRED, require
from tests.waiting import wait_until


def test_a_part_that_is_found_lets_the_test_go_on() -> None:
    require("a part", True, "nothing to do")


def test_a_missing_part_skips_and_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"needs a part, .*: install it so"):
        require("a part", False, "install it so")


def test_a_missing_part_fails_where_real_parts_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="needs a part"):
        require("a part", False, "install it so")


def test_state_goes_to_a_home_of_the_tests_own(turnout_home: Path) -> None:
    assert os.environ["TURNOUT_HOME"] == str(turnout_home)
    assert not turnout_home.is_relative_to(Path.home() / ".local")
    assert list(turnout_home.iterdir()) == []


def test_a_socket_path_in_the_home_is_short_enough(turnout_home: Path) -> None:
    assert len(str(turnout_home / "orchestrator.sock")) < 100


def test_waiting_gives_what_was_waited_for() -> None:
    answers = iter(["", "", "there"])
    assert wait_until(lambda: next(answers), 5, "an answer", poll=0) == "there"


def test_waiting_in_vain_tells_what_was_seen_last() -> None:
    with pytest.raises(AssertionError, match="an answer: still 0 after"):
        wait_until(lambda: 0, 0.01, "an answer", poll=0)


def test_a_test_that_asks_for_a_real_part_is_marked_real(request: pytest.FixtureRequest) -> None:
    marked = [
        item.name
        for item in request.session.items
        if {"kafka_broker", "postgres"} & set(getattr(item, "fixturenames", ()))
        and item.get_closest_marker("real")
    ]
    asking = [
        item.name
        for item in request.session.items
        if {"kafka_broker", "postgres"} & set(getattr(item, "fixturenames", ()))
    ]
    assert marked == asking
