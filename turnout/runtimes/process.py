"""The process runtime for a launcher: each attempt in a detached process of this machine.

The claim decides: a job that finds its attempt claimed by another ends without doing anything, so launching twice is
launching once, whatever died in between.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

from turnout.core.errors import TransientError
from turnout.core.messages import TaskRequested
from turnout.core.ports import Claims, JobState

PARTS = "turnout.wiring:job_parts"
JOB = "agents.sdk.job"
_PROGRAM = (
    "import os, sys; os.chdir('/'); sys.path[:0] = [sys.argv[1]]; "
    "from turnout.runtimes.marks import claim; claim(sys.argv[2]) or sys.exit(0); "
    "from importlib import import_module; sys.exit(import_module(sys.argv[3]).main(sys.argv[4:]))"
)
_LIBRARY = Path(__file__).resolve().parents[2]  # the folder that `turnout` and `agents` are imported from


def spawn(
    arguments: Sequence[str], environ: Mapping[str, str], said: Path, mark: str = "", job: str = JOB
) -> int:
    """The process id of a new ``job``, which outlives us and writes to ``said``.

    ``mark``: it ends at once where another process has left this one. Raises: OSError.
    """
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", _PROGRAM, str(_LIBRARY), mark, job, *arguments],
        environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(said), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


class Jobs:
    """Those that this process has started. Thread-safe."""

    def __init__(self) -> None:
        self._started: set[int] = set()
        self._lock = threading.Lock()

    def add(self, pid: int) -> None:
        with self._lock:
            self._started.add(pid)

    def living(self) -> set[int]:
        """Process ids of the jobs that were started here and have not ended; those that have are collected."""
        with self._lock:
            for pid in list(self._started):
                try:
                    ended = os.waitpid(pid, os.WNOHANG)[0] != 0
                except ChildProcessError:
                    ended = True
                if ended:
                    self._started.discard(pid)
            return set(self._started)


class ProcessRuntime:
    """``parts``: ``module:function`` that gives a job what it needs of the world, by the settings in its environment.

    ``sandbox``: ``auto``, ``require`` or ``none``. ``environ``: the job's environment, by default ours.
    """

    def __init__(
        self,
        home: Path,
        claims: Claims,
        *,
        parts: str = PARTS,
        sandbox: str = "auto",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._jobs = home / "jobs"
        self._claims = claims
        self._parts = parts
        self._sandbox = sandbox
        self._environ = environ
        self._processes = Jobs()

    def launch(self, task: TaskRequested) -> bool:
        """Returns when its process is started; False: it was launched before. Raises: TransientError."""
        self.living()
        if self._claims.state(task.attempt) != "free":
            return False
        try:
            path = self._write(task)
            self._start(path)
        except OSError as error:
            raise TransientError(
                f"no process could be started for attempt {task.attempt}: {error.strerror}",
                "make room on the disk, or for more processes",
            ) from error
        return True

    def cancel(self, attempt: str) -> None:
        """Whoever runs it on this machine sees the mark within a second, and answers that it was cancelled."""
        self._claims.cancel(attempt)

    def state(self, attempt: str) -> JobState:
        """``ended`` only where its claim says so: a job that died before it claimed is a task that nobody has run."""
        claim = self._claims.state(attempt)
        match claim:
            case "running":
                return JobState("running")
            case "lost":
                return JobState("ended", "its process is gone")
            case "finished":
                return JobState("ended", "it has come to its end")
            case "free" | "claimed":
                return JobState("waiting" if (self._jobs / f"{attempt}.json").exists() else "unknown")
            case _:
                assert_never(claim)

    def _write(self, task: TaskRequested) -> Path:
        """The task holds its token: nobody else may read it."""
        self._jobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._jobs / f"{task.attempt}.json"
        incoming = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        descriptor = os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(task.model_dump_json().encode())
        incoming.replace(path)
        return path

    def _start(self, path: Path) -> None:
        environ = os.environ if self._environ is None else self._environ
        pid = spawn([str(path), self._parts, self._sandbox], environ, path.with_suffix(".log"))
        self._processes.add(pid)

    def living(self) -> set[int]:
        """As `Jobs.living`."""
        return self._processes.living()
