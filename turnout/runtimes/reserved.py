"""Jobs on platforms that take no id of ours: whoever launches reserves the attempt first, and records what it became.

A launcher that dies in between, or hears nothing, leaves a reservation without a job. Once its time is over, the next
who is handed the task looks for a job that bears the attempt before it makes one. Should the platform show a job too
late for that, two begin, and the gateway lets one of them do anything.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from turnout.core.errors import PermanentError, TransientError
from turnout.core.messages import TaskRequested
from turnout.core.model import Runtime
from turnout.core.policy import SETTLING
from turnout.core.ports import Clock, JobState, Launch, Launches

CALL_LIMIT = 30.0
"""Seconds that one request to a platform may take."""
HOLD = timedelta(seconds=3 * CALL_LIMIT)
"""How long a launcher has for a launch; then nothing that it has asked for is still under way."""
ATTEMPT = "TURNOUT_ATTEMPT"
"""The variable in a job's environment that says which attempt it is."""


class NotMade(TransientError):
    """The platform has surely made no job: the next try need not look for one."""


class Platform(Protocol):
    """``handle``: what it calls a job. Every call is one or a few requests. Raises, besides what is said:
    TransientError. Thread-safe.
    """

    @property
    def runtime(self) -> Runtime: ...

    def create(self, task: TaskRequested) -> str:
        """The new job's handle. Raises: NotMade, PermanentError (nor was one made); TransientError: it isn't known."""
        ...

    def find(self, attempt: str, since: datetime) -> str:
        """The job that bears the attempt; empty: there is none. ``since``: it was made then at the earliest."""
        ...

    def look(self, handle: str) -> JobState: ...

    def stop(self, handle: str) -> None:
        """Nothing happens to one that is over, or gone."""
        ...


class ReservedRuntime:
    def __init__(self, platform: Callable[[], Platform], launches: Launches, clock: Clock) -> None:
        """``platform``: called once a process, when it is first needed."""
        self._make = platform
        self._made: Platform | None = None
        self._launches = launches
        self._clock = clock

    def launch(self, task: TaskRequested) -> bool:
        """Raises: TransientError, also while another launcher is at it; PermanentError."""
        platform = self._platform()
        now = self._clock.now()
        launch = self._launches.reserve(task.attempt, platform.runtime.value, now, now + HOLD)
        if launch.handle:
            return False
        if not launch.mine:
            left = max(1.0, (launch.until - now).total_seconds())
            raise TransientError(
                f"attempt {task.attempt} is being launched, or whoever did has died", retry_after=left
            )
        if launch.turn > 1 and (found := platform.find(task.attempt, launch.at)):
            self._launches.record(task.attempt, found)
            return False
        try:
            handle = platform.create(task)
        except (NotMade, PermanentError):
            if launch.turn == 1:  # after an earlier turn, there may be a job that does not show yet
                self._launches.release(task.attempt, launch.turn)
            raise
        if self._launches.record(task.attempt, handle) != handle:
            platform.stop(handle)  # we were slow, and another job has taken our place
            return False
        return True

    def cancel(self, attempt: str) -> None:
        """A job that shows only later is told by the gateway that it is to stop."""
        launch = self._ours(attempt)
        if launch is None:
            return
        platform = self._platform()
        handle = launch.handle or platform.find(attempt, launch.at)
        if handle:
            platform.stop(handle)

    def state(self, attempt: str) -> JobState:
        launch = self._ours(attempt)
        if launch is None:
            return JobState("unknown")
        platform = self._platform()
        handle = launch.handle
        if not handle:
            handle = platform.find(attempt, launch.at)
            if not handle:
                busy = self._clock.now() < launch.until
                return JobState("waiting", "it is being launched") if busy else JobState("unknown")
            handle = self._launches.record(attempt, handle)
        return platform.look(handle)

    def _ours(self, attempt: str) -> Launch | None:
        launch = self._launches.find(attempt)
        return launch if launch is not None and launch.runtime == self._platform().runtime.value else None

    def _platform(self) -> Platform:
        if self._made is None:
            self._made = self._make()
        return self._made


def job_limit(task: TaskRequested, longest: float, platform: str) -> int:
    """Seconds after which the platform ends the job, should it hang: the attempt's own limit, and time to say so.

    Raises: PermanentError where the platform's ``longest`` does not hold it.
    """
    if task.timeout > longest - SETTLING:
        raise PermanentError(
            f"a job of {platform} may take {longest / 3600:g} h, the task asks for {task.timeout / 3600:g} h "
            f"and some minutes for its end",
            "give the stage a shorter timeout, or another runtime",
        )
    return int(task.timeout + SETTLING)
