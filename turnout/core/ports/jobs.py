"""Launched jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from turnout.core.messages import TaskRequested

JobPhase = Literal["unknown", "waiting", "running", "ended"]
"""``unknown``: never launched here, or forgotten. ``waiting``: launched, its process has not begun (no room yet, its
image is being pulled). ``ended``: its process is gone, or will never begin; nothing more comes of it."""


@dataclass(frozen=True, slots=True)
class JobState:
    """What a runtime knows of an attempt's job, whatever the job itself said.

    ``reason``: why it ended, or what it waits for; one line. ``since``: when it ended, None: not known.
    ``log``: the last lines it wrote, where nothing else tells why.
    """

    phase: JobPhase
    reason: str = ""
    since: datetime | None = None
    log: str = ""


class JobRuntime(Protocol):
    """Launches attempts as jobs of their own. Every call is idempotent, also across processes and crashes: launching
    twice launches once, cancelling what is over or unknown does nothing. Thread-safe.
    """

    def launch(self, task: TaskRequested) -> bool:
        """False: it was launched before, whatever came of it.

        Raises: TransientError; PermanentError that says what is wrong with the task or the runtime's settings.
        """
        ...

    def cancel(self, attempt: str) -> None:
        """Make it end soon: what it runs is told to stop, and killed if it does not. Raises: TransientError."""
        ...

    def state(self, attempt: str) -> JobState:
        """Raises: TransientError."""
        ...


@dataclass(frozen=True, slots=True)
class Launch:
    """What is known of an attempt's launch, for platforms that take no id of ours for a job.

    ``handle``: what the platform calls the job, empty: it is not known whether one was made. ``turn``: how often the
    launch has been reserved. ``until``: while there is no handle, nobody else may launch before then. ``at``: when it
    was reserved first. ``mine``: this call has reserved it.
    """

    attempt: str
    runtime: str
    handle: str
    turn: int
    until: datetime
    at: datetime
    mine: bool = False


class Launches(Protocol):
    """Who may launch an attempt, and what came of it. Survives every process; thread-safe."""

    def reserve(self, attempt: str, runtime: str, now: datetime, until: datetime) -> Launch:
        """``mine`` where nobody had reserved it, or whoever had let its time pass without recording a handle: in such a
        later turn a job may have been made already. Anything else is left as it is. Raises: TransientError.
        """
        ...

    def record(self, attempt: str, handle: str) -> str:
        """The handle that is kept: the first that was recorded. Raises: NotFound where nothing is reserved."""
        ...

    def release(self, attempt: str, turn: int) -> None:
        """Give back a turn in which no job was made; anything else is left as it is."""
        ...

    def find(self, attempt: str) -> Launch | None: ...
