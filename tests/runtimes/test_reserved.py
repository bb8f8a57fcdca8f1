"""Whatever fails, and wherever launchers die: an attempt becomes one job, and in the end it does become one."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from tests.contracts.job_runtime import Crashed, a_task
from turnout.adapters.memory_launches import MemoryLaunches
from turnout.core.errors import PermanentError, TransientError
from turnout.core.messages import TaskRequested
from turnout.core.model import Runtime
from turnout.core.ports import JobState
from turnout.runtimes.reserved import HOLD, NotMade, ReservedRuntime, job_limit

TASK = a_task(Runtime.CLOUDRUN)
FAULTS = ("", "dies before", "dies after", "lost before", "lost after", "refused", "no right")


class World:
    """A platform without ids, a store, and a clock that stands still; each fault happens to one request."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.launches = MemoryLaunches()
        self.jobs: dict[str, str] = {}
        self.stopped: set[str] = set()
        self.time = datetime(2026, 3, 1, tzinfo=UTC)
        self.faulty = True
        self.story: list[str] = []

    def now(self) -> datetime:
        return self.time

    def open(self) -> ReservedRuntime:
        return ReservedRuntime(lambda: Shaky(self), Mortal(self), self)

    def fault(self) -> str:
        found = self.chance.choice(FAULTS) if self.faulty else ""
        self.story.append(found)
        return found


class Shaky:
    runtime = Runtime.CLOUDRUN

    def __init__(self, world: World) -> None:
        self._world = world

    def create(self, task: TaskRequested) -> str:
        match self._world.fault():
            case "dies before":
                raise Crashed
            case "lost before":
                raise TransientError("no answer")
            case "refused":
                raise NotMade("no quota")
            case "no right":
                raise PermanentError("no right")
            case then:
                handle = f"job-{len(self._world.jobs)}"
                self._world.jobs[handle] = task.attempt
                if then == "dies after":
                    raise Crashed
                if then == "lost after":
                    raise TransientError("no answer")
                return handle

    def find(self, attempt: str, since: datetime) -> str:
        assert since <= self._world.time
        if self._world.fault() in ("lost before", "lost after"):
            raise TransientError("no answer")
        return next((handle for handle, of in self._world.jobs.items() if of == attempt), "")

    def look(self, handle: str) -> JobState:
        return JobState("ended" if handle in self._world.stopped else "running", "as it is")

    def stop(self, handle: str) -> None:
        self._world.stopped.add(handle)


class Mortal(MemoryLaunches):
    """The world's launches, whose caller may die around each change."""

    def __init__(self, world: World) -> None:
        self.__dict__.update(world.launches.__dict__)
        self._world = world

    def record(self, attempt: str, handle: str) -> str:
        fault = self._world.fault()
        if fault == "dies before":
            raise Crashed
        if fault == "lost before":
            raise TransientError("the database is away")
        kept = super().record(attempt, handle)
        if fault == "dies after":
            raise Crashed
        return kept


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_an_attempt_becomes_one_job_whatever_happens_to_its_launchers(first: int) -> None:
    for seed in range(first, first + 100):
        world = World(seed)
        for _ in range(world.chance.randrange(1, 12)):
            try:
                world.open().launch(TASK)
            except (TransientError, PermanentError, Crashed):
                pass
            assert len(world.jobs) <= 1, (seed, world.story)
            world.time += world.chance.choice((timedelta(), timedelta(seconds=20), HOLD))
        world.faulty = False
        world.time += HOLD
        world.open().launch(TASK)
        assert list(world.jobs.values()) == [TASK.attempt], (seed, world.story)
        assert world.open().launch(TASK) is False
        assert world.open().state(TASK.attempt).phase == "running"
        world.open().cancel(TASK.attempt)
        assert world.open().state(TASK.attempt).phase == "ended"


def test_the_time_that_a_launcher_has_is_longer_than_its_request_may_take() -> None:
    world = World(0)
    world.launches.reserve(TASK.attempt, "cloudrun", world.time, world.time + HOLD)
    world.time += HOLD - timedelta(seconds=1)
    with pytest.raises(TransientError, match="is being launched") as early:
        world.open().launch(TASK)
    assert early.value.retry_after == 1
    assert not world.jobs


def test_a_job_that_is_found_by_its_state_is_recorded() -> None:
    world = World(0)
    world.faulty = False
    world.launches.reserve(TASK.attempt, "cloudrun", world.time, world.time + HOLD)
    world.jobs["job-7"] = TASK.attempt
    assert world.open().state(TASK.attempt).phase == "running"
    found = world.launches.find(TASK.attempt)
    assert found is not None
    assert found.handle == "job-7"


def test_a_job_is_given_time_to_say_how_it_ended() -> None:
    assert job_limit(TASK.with_(timeout=60.0), 3600, "X") == 660
    with pytest.raises(PermanentError, match="X may take 1 h"):
        job_limit(TASK.with_(timeout=3001.0), 3600, "X")
