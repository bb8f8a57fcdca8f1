from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from turnout.core.ports import JobState
from turnout.runtimes.docker_state import state_of

ENDED = "2026-11-22T21:15:58.123456789Z"
NEVER = "0001-01-01T00:00:00Z"


def shown(status: str, code: int = 0, memory: int = 0, **more: Any) -> dict[str, Any]:
    state = {"Status": status, "ExitCode": code, "Error": "", "OOMKilled": False, "FinishedAt": ENDED} | more
    return {"State": state, "HostConfig": {"Memory": memory}}


@pytest.mark.parametrize("status", ["running", "paused", "restarting"])
def test_a_container_that_has_a_process_runs(status: str) -> None:
    assert state_of(shown(status, FinishedAt=NEVER)) == JobState("running")


def test_one_that_is_made_and_not_started_waits_unless_it_could_not_be_started() -> None:
    assert state_of(shown("created", FinishedAt=NEVER)).phase == "waiting"
    failed = state_of(shown("created", 127, Error="exec: no\n such file", FinishedAt=NEVER))
    assert failed == JobState("ended", "it could not be started: exec: no such file")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (shown("exited"), "its container has come to its end"),
        (shown("exited", 3), "its container ended with status 3"),
        (shown("exited", 137), "its container was ended by SIGKILL"),
        (shown("exited", 255), "its container ended with status 255"),
        (shown("dead", 1, Error="disk\nfull"), "its container ended with status 1: disk full"),
        (
            shown("exited", 137, 2 * 1024**3, OOMKilled=True),
            "more memory was needed than its limit of 2048 MiB (raise the stage's `resources: {memory: …}`)",
        ),
        (
            shown("exited", 1, OOMKilled=True),
            "more memory was needed than there was (raise the stage's `resources: {memory: …}`)",
        ),
    ],
)
def test_one_that_has_ended_says_why_and_when(given: dict[str, Any], reason: str) -> None:
    state = state_of(given, b"last words \xff\n")
    assert (state.phase, state.reason) == ("ended", reason)
    assert state.since == datetime(2026, 11, 22, 21, 15, 58, 123456, UTC)
    assert state.log == "last words �\n"


def test_a_time_that_nobody_can_read_is_not_known() -> None:
    assert state_of(shown("exited", FinishedAt="soon")).since is None
    assert state_of(shown("exited", FinishedAt="2026-11-22T21:15:58Z")).since is not None
