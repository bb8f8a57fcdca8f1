"""Where Cloud Run runs the agents' jobs: the program of a launched job, a process each, that is given the variables of
its execution and none of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.cloud.run_v2 import types as run

from local.google.cloud_run import CloudRun
from tests.cloud.plan import Job


class Machines:
    """``jobs``: as planned. ``tree``: where the code of their images is."""

    def __init__(self, cloud: CloudRun, jobs: Iterable[Job], home: Path, tree: Path) -> None:
        self.cloud, self._home, self._tree = cloud, home, tree
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for each in jobs:
            task = run.TaskTemplate(
                containers=[run.Container(image=each.image)],
                max_retries=each.retries,
                service_account=each.account,
            )
            cloud.jobs[each.name] = run.Job(name=each.name, template=run.ExecutionTemplate(template=task))
        cloud.made = self._begin

    def _begin(self, made: Any) -> None:
        given = self.cloud.environment(made)
        attempt = given["TURNOUT_ATTEMPT"]
        self.cloud.begin(attempt)
        home = self._home / attempt
        home.mkdir(parents=True)
        environ = {"PATH": os.environ["PATH"], "TURNOUT_HOME": str(home), "TURNOUT_SANDBOX": "none", **given}
        with (home / "job.log").open("wb") as log:
            job = subprocess.Popen(
                [sys.executable, "-m", "agents.sdk.job"],
                cwd=self._tree, env=environ, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.running[attempt] = job
        threading.Thread(target=self._wait, args=(attempt, job), daemon=True).start()

    def _wait(self, attempt: str, job: subprocess.Popen[bytes]) -> None:
        code = job.wait()
        self.cloud.end(attempt, status=max(code, 0), signal=max(-code, 0))

    def close(self) -> None:
        for job in self.running.values():
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
                job.wait()
