"""The whole loop on Cloud Run and Cloud Build: their stand-ins run what they are asked for as processes of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from local.google import cloud_build, cloud_run
from tests.e2e.system import ROOT, System
from tests.waiting import wait_until
from turnout.core.model import Outcome

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]  # all of `turnout up`, and jobs

PIPELINE = """\
pipeline:
  stages:
    - name: first
      agent: script
      runtime: cloudrun
      with: {{run: "echo first $TURNOUT_ATTEMPT_NUMBER >> {effects}"}}
    - name: second
      agent: script
      runtime: cloudbuild
      with: {{run: "echo second $TURNOUT_ATTEMPT_NUMBER >> {effects}"}}
"""
DYING = """\
pipeline:
  stages:
    - name: dies
      agent: script
      runtime: cloudrun
      with: {{run: "echo dies $TURNOUT_ATTEMPT_NUMBER >> {effects}; while [ -e {effects}.hold ]; do sleep 0.1; done"}}
"""


class Machine:
    """Runs an agent's image: the program of a launched job, which is given these variables and no others of ours."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.jobs: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, given: Mapping[str, str], over: Callable[[str, int], None]) -> None:
        attempt = given["TURNOUT_ATTEMPT"]
        home = self._home / attempt
        home.mkdir(parents=True)
        environ = {"PATH": os.environ["PATH"], "TURNOUT_HOME": str(home), "TURNOUT_SANDBOX": "none", **given}
        with (home / "job.log").open("wb") as log:
            job = subprocess.Popen(
                [sys.executable, "-m", "agents.sdk.job"],
                cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.jobs[attempt] = job
        threading.Thread(target=lambda: over(attempt, job.wait()), daemon=True).start()

    def close(self) -> None:
        for job in self.jobs.values():
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
                job.wait()


@pytest.fixture
def google(tmp_path: Path) -> Iterator[tuple[System, Machine]]:
    with ExitStack() as stack:
        machine = Machine(tmp_path / "machine")
        stack.callback(machine.close)
        runs = stack.enter_context(cloud_run.CloudRun())
        runs.make_job("turnout-script")
        builds = stack.enter_context(cloud_build.CloudBuild())

        def execution(made: Any) -> None:
            runs.begin(attempt := runs.environment(made)["TURNOUT_ATTEMPT"])
            assert attempt
            machine.run(runs.environment(made), lambda attempt, code: (
                runs.end(attempt, status=max(code, 0), signal=max(-code, 0))
            ))  # fmt: skip

        def build(made: Any) -> None:
            given = builds.environment(made)
            builds.begin(given["TURNOUT_ATTEMPT"])
            machine.run(given, lambda attempt, code: (
                builds.end(attempt, "FAILURE" if code else "SUCCESS", code=abs(code))
            ))  # fmt: skip

        runs.made, builds.made = execution, build
        system = System(
            tmp_path,
            {
                "TURNOUT_LAUNCHER_RUNTIMES": "cloudrun,cloudbuild",
                "TURNOUT_AGENT_IMAGES": "registry.example.org/agents/{agent}:1",
                "TURNOUT_CLOUDRUN_JOBS": f"{cloud_run.PARENT}/jobs/turnout-{{agent}}",
                "TURNOUT_CLOUDRUN_ENDPOINT": runs.url,
                "TURNOUT_CLOUDBUILD_PARENT": cloud_build.PARENT,
                "TURNOUT_CLOUDBUILD_SERVICE_ACCOUNT": cloud_build.ACCOUNT,
                "TURNOUT_CLOUDBUILD_ENDPOINT": builds.url,
            },
        )
        stack.enter_context(system)
        yield system, machine


def test_a_push_is_run_by_jobs_of_cloud_run_and_of_cloud_build(google: tuple[System, Machine]) -> None:
    system, machine = google
    system.make_repository({"pipeline.yml": PIPELINE.format(effects=system.effects)})
    system.start()
    (run,) = system.wait_for([system.deliver()], within=60)
    assert run.outcome is Outcome.SUCCESS, run.reason
    assert system.effects.read_text().splitlines() == ["first 1", "second 1"]
    assert len(machine.jobs) == 2
    wait_until(lambda: all(each.poll() == 0 for each in machine.jobs.values()), 20, "the jobs have ended")


def test_a_job_that_is_gone_is_noticed_and_the_attempt_made_again(google: tuple[System, Machine]) -> None:
    system, machine = google
    hold = Path(f"{system.effects}.hold")
    hold.touch()
    system.make_repository({"pipeline.yml": DYING.format(effects=system.effects)})
    system.start()
    id = system.deliver()
    wait_until(lambda: system.effects.read_text() == "dies 1\n", 40, "the first attempt runs")
    (first,) = machine.jobs.values()
    hold.unlink()
    os.killpg(first.pid, signal.SIGKILL)
    (run,) = system.wait_for([id], within=60)
    assert run.outcome is Outcome.SUCCESS, run.reason
    attempts = run.stages["dies"].tasks["dies"].attempts
    assert attempts[0].result is not None
    assert attempts[0].result.outcome is Outcome.ERROR
    assert "signal 9" in attempts[0].result.summary + attempts[0].result.reason
    assert len(machine.jobs) == len(attempts) == 2
