"""What the supervisor makes of how a process ended; the rest of it is seen at work in test_processes.py."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.runtimes import sandbox_supervisor
from turnout.runtimes.keepers import LIBRARY
from turnout.runtimes.sandbox_supervisor import outcome, watch

FINISHED = b'{ "child-pid": 7 }\n{ "exit-code": 1 }\n'
NEVER_STARTED = b'{ "child-pid": 7 }\n'


def exited(code: int) -> int:
    return code << 8


@pytest.mark.parametrize(
    ("status", "fenced", "said"),
    [
        (exited(0), False, "exit 0"),
        (exited(139), False, "exit 139"),
        (9, False, "signal 9"),
        (exited(0), True, "exit 0"),
        (exited(128), True, "exit 128"),
        (exited(129), True, "exit 129"),
        (exited(131), True, "exit 131"),
        (exited(132), True, "signal 4"),
        (exited(137), True, "signal 9"),
        (exited(159), True, "signal 31"),
        (exited(160), True, "exit 160"),
        (9, True, "signal 9"),
    ],
)
def test_codes_and_signals_are_told_apart(status: int, fenced: bool, said: str) -> None:
    assert outcome(status, FINISHED, fenced=fenced) == said


def test_a_launcher_that_never_ran_the_tool_is_a_failure_to_start() -> None:
    assert outcome(exited(1), NEVER_STARTED, fenced=True).startswith("failed bubblewrap could not")
    assert outcome(exited(1), NEVER_STARTED, fenced=False) == "exit 1"


def test_a_process_that_survives_being_killed_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that waits for a dead disk: here, nothing is really sent to it."""
    monkeypatch.setattr(sandbox_supervisor, "has_ended", lambda pid: False)
    monkeypatch.setattr(sandbox_supervisor, "end_hard", lambda pid, plan: None)
    monkeypatch.setattr(sandbox_supervisor, "KILL_WITHIN", 0.01)
    monkeypatch.setattr(sandbox_supervisor, "KILL_EVERY", 0.01)
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, subprocess.Popen(["sleep", "60"]) as stuck:
        plan = {"fenced": False, "groups": [], "network": ""}
        alone, ended, _ = watch(ours.fileno(), stuck.pid, -1, plan)  # type: ignore[arg-type]
        stuck.kill()
    assert (alone, ended) == (True, None)


def test_the_supervisor_starts_light() -> None:
    """Each tool pays for what it imports. These alone would double its start-up time, and make its forks dearer."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import turnout.runtimes.sandbox_supervisor; "
        "print(*{'json', 're', 'signal', 'socket', 'subprocess', 'dataclasses', 'pathlib'} & {*sys.modules})"
    )
    argv = [sys.executable, "-I", "-S", "-c", code, str(LIBRARY)]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "\n"
