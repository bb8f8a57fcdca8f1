"""A launched job that is killed: found by asking its runtime, long before its lease ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.system import System
from tests.waiting import wait_until
from turnout.core.explain import explain

pytestmark = pytest.mark.real

LEASE = 600
PIPELINE = """\
pipeline:
  stages:
    - name: slow
      agent: script
      with: {run: "echo $TURNOUT_ATTEMPT_NUMBER >> %(effects)s; test $TURNOUT_ATTEMPT_NUMBER = 2 || sleep 500"}
"""


def job_of(attempt: str) -> int:
    """Its process id; 0: it is not there."""
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and f"{attempt}.json".encode() in (path / "cmdline").read_bytes():
                return int(path.name)
        except OSError:
            continue
    return 0


@pytest.mark.timeout(200)
def test_a_job_that_was_killed_is_lost_at_once_and_tried_again(tmp_path: Path) -> None:
    settings = {"TURNOUT_LAUNCHER_RUNTIMES": "process", "TURNOUT_LEASE": str(LEASE)}
    with System(tmp_path, settings) as system:
        system.make_repository({"pipeline.yml": PIPELINE % {"effects": system.effects}})
        system.start()
        id = system.deliver()
        wait_until(lambda: system.effects_done()["1"], 60, "the first attempt is at work")
        run = system.run(id)
        assert run is not None
        (attempt,) = run.stages["slow"].tasks["slow"].attempts
        os.kill(job_of(attempt.id), signal.SIGKILL)
        (run,) = system.wait_for([id], within=90)
        first, second = run.stages["slow"].tasks["slow"].attempts
        assert first.result is not None
        assert (first.by, first.result.lost, first.result.reason) == ("runtime", True, "its process is gone")
        assert second.result is not None
        assert run.outcome is not None
        assert (second.result.outcome.value, run.outcome.value) == ("success", "success")
        assert first.finished_at is not None
        assert (first.finished_at - first.launched_at).total_seconds() < LEASE / 5
        said = explain([each.event for each in system.wiring.store.events(id)])
        assert "The orchestrator (its job has ended) ended slow as error: its process is gone." in said
