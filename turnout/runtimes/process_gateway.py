"""The process runtime through the gateway: a job of this machine that is given its attempt's pass and nothing else.

It is launched as a container would be, so that the whole way of a launched job can be walked on one machine.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from turnout.core.errors import TransientError
from turnout.core.messages import TaskRequested
from turnout.core.ports import JobState
from turnout.gateway import Passes
from turnout.runtimes.marks import claimed_by
from turnout.runtimes.process import JOB, Jobs, spawn

Start = Callable[[Sequence[str], Mapping[str, str], Path, str, str], int]
"""As `turnout.runtimes.process.spawn`."""
BEGINS_WITHIN = 30.0  # seconds
KEPT = 14 * 24 * 3600.0  # seconds; longer than a task's record can come again


class GatewayProcessRuntime:
    """``environ``: what a job inherits besides its pass; none of ours unless it is in there. ``job``: the
    module that it runs."""

    def __init__(
        self, home: Path, passes: Passes, *, environ: Mapping[str, str], job: str = JOB, start: Start = spawn
    ) -> None:
        self._jobs = home / "jobs"
        self._place = home / "launched"
        self._passes = passes
        self._environ = environ
        self._job = job
        self._start = start
        self._processes = Jobs()
        self._pruned = False

    def launch(self, task: TaskRequested) -> bool:
        """Returns when the attempt's process has left its mark; False: it had before.

        The process itself leaves it, if it is the first: who dies in between launches another, which ends at once.
        Raises: TransientError.
        """
        self.living()
        mark = self._mark(task.attempt)
        try:
            self._jobs.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._prune()
            if mark.exists():
                return False
            environ = {
                **self._environ,
                **self._passes.environment(task),
                "TURNOUT_HOME": str(self._place),
            }
            pid = self._start([], environ, mark.with_suffix(".log"), str(mark), self._job)
        except OSError as error:
            raise TransientError(
                f"no process could be started for attempt {task.attempt}: {error.strerror}",
                "make room on the disk, or for more processes",
            ) from error
        self._processes.add(pid)
        return self._begun(task.attempt, pid)

    def _begun(self, attempt: str, pid: int) -> bool:
        """Whether the process that we have started is the attempt's."""
        mark, deadline = self._mark(attempt), time.monotonic() + BEGINS_WITHIN
        while (found := claimed_by(mark)) is None:
            if pid not in self.living() and claimed_by(mark) is None:
                said = mark.with_suffix(".log")
                raise TransientError(f"the job of attempt {attempt} ended before it began", f"see {said}")
            if time.monotonic() > deadline:
                raise TransientError(
                    f"the job of attempt {attempt} does not begin", "is the machine overloaded?"
                )
            time.sleep(0.002)
        return found[0] == pid

    def cancel(self, attempt: str) -> None:
        """Its process is told to end, and asks the gateway why."""
        found = claimed_by(self._mark(attempt))
        if found is not None and found[1]:
            with suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGTERM)

    def state(self, attempt: str) -> JobState:
        """``ended`` once the process that left the mark is gone, whoever started it."""
        self.living()
        found = claimed_by(self._mark(attempt))
        if found is None:
            return JobState("unknown")
        return JobState("running") if found[1] else JobState("ended", "its process is gone")

    def _mark(self, attempt: str) -> Path:
        return self._jobs / f"{attempt}.launched"

    def living(self) -> set[int]:
        """As `Jobs.living`."""
        return self._processes.living()

    def _prune(self) -> None:
        """Once a process: marks and logs of attempts that nobody asks for any more. Raises: OSError."""
        if self._pruned:
            return
        self._pruned = True
        limit = time.time() - KEPT
        for path in self._jobs.iterdir():
            if path.suffix in (".launched", ".log") and path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)
