"""The process runtime through the gateway: a job of this machine that is given its attempt's pass and nothing else.

It is launched as a container would be, so that the whole way of a launched job can be walked on one machine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from turnout.core.errors import TransientError
from turnout.core.messages import TaskRequested
from turnout.core.ports import JobState
from turnout.gateway import Passes
from turnout.runtimes.process import Jobs, spawn, started_at

KEPT = 14 * 24 * 3600.0  # seconds; longer than a task's record can come again


class GatewayProcessRuntime:
    """``environ``: what a job inherits besides its pass; none of ours unless it is in there."""

    def __init__(self, home: Path, passes: Passes, *, environ: Mapping[str, str]) -> None:
        self._jobs = home / "jobs"
        self._place = home / "launched"
        self._passes = passes
        self._environ = environ
        self._processes = Jobs()
        self._pruned = False

    def launch(self, task: TaskRequested) -> bool:
        """Returns when its process is started; False: it was launched before.

        The mark is left after the start: who dies in between launches twice, and the gateway wants only one of them.
        Raises: TransientError.
        """
        self.living()
        mark = self._jobs / f"{task.attempt}.launched"
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
            pid = spawn([], environ, mark.with_suffix(".log"))
            self._processes.add(pid)
            mark.write_text(f"{pid} {started_at(pid)}\n")
        except OSError as error:
            raise TransientError(
                f"no process could be started for attempt {task.attempt}: {error.strerror}",
                "make room on the disk, or for more processes",
            ) from error
        return True

    def cancel(self, attempt: str) -> None:
        """Nothing to do here: the answer to its next heartbeat tells the job."""

    def state(self, attempt: str) -> JobState:
        """``ended`` once the process that was started for it is gone, whoever started it."""
        try:
            mark = (self._jobs / f"{attempt}.launched").read_text().split()
        except FileNotFoundError:
            return JobState("unknown")
        self.living()
        if not mark:  # the disk was full
            return JobState("unknown")
        born = mark[1] if len(mark) > 1 else ""
        return (
            JobState("running")
            if started_at(int(mark[0])) == born
            else JobState("ended", "its process is gone")
        )

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
