"""The standard library's threads and clocks, as tasks of the kernel: production code that uses them runs unchanged.

`installed` puts these in the place of ``threading`` and ``time`` in the modules that are named there, and only there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import structlog

from tests.simulation.kernel import Kernel, Process, Task

_kernel: Kernel | None = None


def kernel() -> Kernel:
    assert _kernel is not None, "no simulation is under way"
    return _kernel


class Lock:
    """Reentrant. What holds it may wait; others then wait for it."""

    def __init__(self) -> None:
        self._owner: Task | None = None
        self._depth = 0
        self._waiting: list[Task] = []

    def __enter__(self) -> bool:
        here = kernel()
        me = here.task
        while self._owner is not None and self._owner is not me and me is not None:
            self._waiting.append(me)
            here.wait(None)
        self._owner = me
        self._depth += 1
        return True

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            self._wake()

    def give_up(self) -> int:
        depth, self._depth, self._owner = self._depth, 0, None
        self._wake()
        return depth

    def take_back(self, depth: int) -> None:
        self.__enter__()
        self._depth = depth

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            kernel().wake(task)


class Condition:
    def __init__(self, lock: Lock | None = None) -> None:
        self._lock = lock or Lock()
        self._waiters: list[Task] = []

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *error: object) -> None:
        self._lock.__exit__(*error)

    def wait(self, timeout: float | None = None) -> bool:
        here = kernel()
        me = here.task
        assert me is not None
        self._waiters.append(me)
        depth = self._lock.give_up()
        try:
            woken = here.wait(timeout)
        finally:
            if me in self._waiters:
                self._waiters.remove(me)
        self._lock.take_back(depth)
        return woken

    def wait_for(self, holds: Callable[[], Any], timeout: float | None = None) -> Any:
        end = None if timeout is None else kernel().now + timeout
        while not (found := holds()):
            left = None if end is None else end - kernel().now
            if left is not None and left <= 0:
                break
            self.wait(left)
        return found

    def notify(self, count: int = 1) -> None:
        woken, self._waiters = self._waiters[:count], self._waiters[count:]
        for task in woken:
            kernel().wake(task)

    def notify_all(self) -> None:
        self.notify(len(self._waiters))


class Event:
    def __init__(self) -> None:
        self._set = False
        self._changed = Condition()

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        with self._changed:
            if not self._set:
                self._changed.wait(timeout)
        return self._set


class Thread:
    """A task of the process that makes it."""

    def __init__(
        self, *, target: Callable[..., object], name: str = "", args: Sequence[Any] = (), daemon: bool = False
    ) -> None:
        self.name = name
        self.daemon = daemon
        self._process: Process = kernel().process
        self._run = partial(target, *args)
        self._done = Event()
        self._begun = False

    def start(self) -> None:
        self._begun = True
        kernel().spawn(self._process, self._body, self.name)

    def is_alive(self) -> bool:
        return self._begun and not self._done.is_set()

    def join(self, timeout: float | None = None) -> None:
        self._done.wait(timeout)

    def _body(self) -> None:
        try:
            self._run()
        finally:
            self._done.set()


class Timer:
    def __init__(self, interval: float, function: Callable[..., object], args: Sequence[Any] = ()) -> None:
        self.daemon = False
        self._interval = interval
        self._run = partial(function, *args)
        self._cancelled = Event()
        self._process = kernel().process

    def start(self) -> None:
        kernel().spawn(self._process, self._body, "timer")

    def cancel(self) -> None:
        self._cancelled.set()

    def _body(self) -> None:
        if not self._cancelled.wait(self._interval):
            self._run()


THREADING = SimpleNamespace(
    Condition=Condition, Event=Event, Lock=Lock, RLock=Lock, Thread=Thread, Timer=Timer
)


class _Time:
    def time(self) -> float:
        return kernel().process.now().timestamp()

    def monotonic(self) -> float:
        return kernel().process.monotonic()

    def sleep(self, seconds: float) -> None:
        kernel().sleep(seconds)


TIME = _Time()


@contextmanager
def installed(modules: Sequence[ModuleType]) -> Iterator[None]:
    """These modules live by the kernel's clock and threads, and log nothing, until the end."""
    before = [
        (module, name, getattr(module, name))
        for module in modules
        for name in ("threading", "time")
        if hasattr(module, name)
    ]
    for module, name, found in before:
        assert found in (threading, time), f"{module.__name__}.{name} is not the standard library's"
        setattr(module, name, THREADING if name == "threading" else TIME)
    logging = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**logging)
        for module, name, found in before:
            setattr(module, name, found)


@contextmanager
def running(found: Kernel) -> Iterator[None]:
    """The kernel that the threads of this moment belong to."""
    global _kernel
    before, _kernel = _kernel, found
    try:
        yield
    finally:
        _kernel = before
