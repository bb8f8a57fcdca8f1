"""Many processes in one thread, on a clock that only the scheduler moves.

Each process of the simulated world is made of tasks (greenlets). A task runs until it waits; the scheduler then takes
whatever is due next from one queue. Chance comes from one seed, time from the queue: the same seed gives the same
world, on any machine and with any PYTHONHASHSEED.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from greenlet import getcurrent, greenlet

INSTANT = 1e-6
"""Seconds that any wait takes at least: time goes on, also for who waits for almost nothing."""
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Died(BaseException):
    """The process of this task is gone: nothing after this line happens."""


class Task:
    """``ticket`` tells the present wait from earlier ones; ``woken``: the present wait was ended by `Kernel.wake`."""

    __slots__ = ("greenlet", "name", "process", "ticket", "woken")

    def __init__(self, process: Process, run: Callable[[], object], name: str) -> None:
        self.process = process
        self.name = name
        self.ticket = 0
        self.woken = False
        self.greenlet = greenlet(self._body(run), process.kernel.hub)

    def _body(self, run: Callable[[], object]) -> Callable[[], None]:
        def body() -> None:
            try:
                run()
            except Died:
                pass
            finally:
                self.process.tasks.pop(self, None)

        return body


class Process:
    """One process, or one machine's clock. A process that has died is replaced by a new object of the same name.

    ``stop`` asks it to end by itself.
    ``chance`` decides what it does, ``luck`` what happens to it.
    ``offset`` (seconds) and ``drift`` (a factor near 1) are what its clock makes of the true time. It is itself a
    `turnout.core.ports.Clock`.
    """

    def __init__(self, kernel: Kernel, name: str, *, offset: float = 0.0, drift: float = 1.0) -> None:
        self.kernel = kernel
        self.name = name
        self.offset = offset
        self.drift = drift
        self.alive = True
        self.frozen_until = 0.0
        self.stop: Callable[[], object] | None = None
        self.tasks: dict[Task, None] = {}
        self.on_death: list[Callable[[], None]] = []
        self.chance = kernel.chance_of(name)
        self.luck = kernel.chance_of(f"luck of {name}")

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.monotonic() + self.offset)

    def monotonic(self) -> float:
        return self.kernel.now * self.drift


class Kernel:
    """``now``: the true time, in seconds since the world began."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.steps = 0
        self.stopped = False
        self.task: Task | None = None
        self.hub = getcurrent()
        self._queue: list[tuple[float, int, Task | Callable[[], object], int]] = []
        self._sequence = 0
        self._chances: dict[str, random.Random] = {}

    def chance_of(self, name: str) -> random.Random:
        """Each name has a stream of its own, so that what one does less leaves the others' as they were."""
        found = self._chances.get(name)
        if found is None:
            found = self._chances[name] = random.Random(f"{self.seed}/{name}")
        return found

    # --- by the scheduler, and by tasks ---------------------------------------------------------

    @property
    def process(self) -> Process:
        """The process of the running task."""
        assert self.task is not None, "only a task belongs to a process"
        return self.task.process

    def spawn(self, process: Process, run: Callable[[], object], name: str = "") -> Task:
        task = Task(process, run, name)
        process.tasks[task] = None
        self._push(self.now, task, 0)
        return task

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """``act`` is called by the scheduler itself: it must not wait."""
        self._push(self.now + seconds, act, 0)

    def kill(self, process: Process) -> None:
        """Nothing of it runs any more. What its tasks hold is let go, without effect."""
        if not process.alive:
            return
        process.alive = False
        self.after(0.0, lambda: self._reap(process))

    def wake(self, task: Task, delay: float = 0.0) -> None:
        """End the task's present wait."""
        task.woken = True
        self._push(self.now + delay, task, task.ticket)

    # --- by tasks -------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """Raises: Died."""
        self.wait(seconds)

    def wait(self, timeout: float | None) -> bool:
        """Until somebody wakes this task, or ``timeout`` seconds (None: for ever) have passed by the clock of its
        process; whether it was woken.

        Raises: Died.
        """
        task = self.task
        assert task is not None, "only a task can wait"
        if not task.process.alive:
            raise Died
        task.ticket += 1
        task.woken = False
        if timeout is not None:
            self._push(self.now + max(timeout, INSTANT) / task.process.drift, task, task.ticket)
        self.hub.switch()
        if not task.process.alive:
            raise Died
        return task.woken

    # --- the loop -------------------------------------------------------------------------------

    def run(self, until: float, done: Callable[[], bool]) -> bool:
        """Go on until ``done`` (asked now and then), or the time is up; whether it was done."""
        queue = self._queue
        while queue:
            at, _, what, ticket = heapq.heappop(queue)
            if at > until:
                self.now = until
                return done()
            self.now = max(self.now, at)
            if not isinstance(what, Task):
                what()
                if done():
                    return True
                continue
            if ticket != what.ticket or what.greenlet.dead:
                continue
            process = what.process
            if not process.alive:
                continue
            if process.frozen_until > self.now:
                self._push(process.frozen_until, what, ticket)
                continue
            self.steps += 1
            self.task = what
            what.ticket += 1
            what.greenlet.switch()
            self.task = None
            if self.stopped:
                return False
        return done()

    def close(self) -> None:
        """End whatever still runs."""
        for process in {
            id(what.process): what.process for _, _, what, _ in self._queue if isinstance(what, Task)
        }.values():
            process.alive = False
            self._reap(process)

    def _push(self, at: float, what: Task | Callable[[], object], ticket: int) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (at, self._sequence, what, ticket))

    def _reap(self, process: Process) -> None:
        for task in list(process.tasks):
            self.task = task
            if task.greenlet:  # it has begun, and not ended
                task.greenlet.throw(Died)
            self.task = None
        process.tasks.clear()
        for act in process.on_death:
            act()
        process.on_death.clear()
