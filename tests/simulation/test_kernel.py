"""The kernel: tasks, time, death, and the standard library's threads on top of it."""

from __future__ import annotations

import threading
import types

import pytest

from tests.simulation import threads
from tests.simulation.kernel import Kernel, Process


def a_world() -> tuple[Kernel, Process]:
    kernel = Kernel(1)
    return kernel, Process(kernel, "p")


def finish(kernel: Kernel) -> None:
    with threads.running(kernel):
        kernel.run(1000.0, lambda: False)


def test_tasks_take_turns_in_the_order_of_their_times() -> None:
    kernel, process = a_world()
    seen: list[tuple[str, float]] = []

    def work(name: str, pause: float) -> None:
        for _ in range(2):
            kernel.sleep(pause)
            seen.append((name, kernel.now))

    kernel.spawn(process, lambda: work("slow", 2.0))
    kernel.spawn(process, lambda: work("fast", 0.5))
    finish(kernel)
    assert seen == [("fast", 0.5), ("fast", 1.0), ("slow", 2.0), ("slow", 4.0)]


def test_nothing_of_a_dead_process_goes_on_and_what_it_held_is_let_go() -> None:
    kernel, process = a_world()
    seen: list[str] = []

    def work() -> None:
        try:
            kernel.sleep(5.0)
            seen.append("worked")
        finally:
            seen.append("let go")

    kernel.spawn(process, work)
    kernel.after(1.0, lambda: kernel.kill(process))
    process.on_death.append(lambda: seen.append("noticed"))
    finish(kernel)
    assert seen == ["let go", "noticed"]


def test_a_frozen_process_goes_on_where_it_was() -> None:
    kernel, process = a_world()
    seen: list[float] = []
    process.frozen_until = 7.0
    kernel.spawn(process, lambda: seen.append(kernel.now))
    finish(kernel)
    assert seen == [7.0]


def test_a_wait_that_was_ended_is_not_ended_again_by_its_time() -> None:
    kernel, process = a_world()
    seen: list[tuple[bool, float]] = []

    def work() -> None:
        for _ in range(2):
            seen.append((kernel.wait(3.0), kernel.now))

    task = kernel.spawn(process, work)
    kernel.after(1.0, lambda: kernel.wake(task))
    finish(kernel)
    assert seen == [(True, 1.0), (False, 4.0)]


def test_clocks_of_processes_differ_by_their_offset_and_drift() -> None:
    kernel = Kernel(1)
    ahead = Process(kernel, "ahead", offset=2.0, drift=1.5)
    kernel.now = 10.0
    assert ahead.monotonic() == 15.0
    assert (ahead.now() - Process(kernel, "true").now()).total_seconds() == 7.0


@pytest.fixture
def module() -> types.ModuleType:
    """One that uses the standard library's threads."""
    found = types.ModuleType("found")
    found.threading = threading  # type: ignore[attr-defined]
    return found


def test_a_condition_hands_over_between_threads(module: types.ModuleType) -> None:
    kernel, process = a_world()
    seen: list[str] = []

    def main() -> None:
        changed = module.threading.Condition()
        waiting: list[str] = []

        def consume() -> None:
            with changed:
                assert changed.wait_for(lambda: waiting, 60.0)
                seen.extend(waiting)

        thread = module.threading.Thread(target=consume, daemon=True)
        thread.start()
        kernel.sleep(1.0)
        with changed:
            waiting.append("work")
            changed.notify()
        thread.join()
        seen.append("joined")

    with threads.installed([module]):
        kernel.spawn(process, main)
        finish(kernel)
    assert seen == ["work", "joined"]
    assert module.threading is threading


def test_threads_that_wait_for_one_event_all_go_on_when_their_time_is_up(module: types.ModuleType) -> None:
    kernel, process = a_world()
    seen: list[float] = []

    def main() -> None:
        stopping = module.threading.Event()
        for pause in (1.0, 2.0, 3.0):
            target = lambda pause=pause: seen.append(pause) if not stopping.wait(pause) else None  # noqa: E731
            module.threading.Thread(target=target, daemon=True).start()

    with threads.installed([module]):
        kernel.spawn(process, main)
        finish(kernel)
    assert seen == [1.0, 2.0, 3.0]


def test_who_holds_a_lock_keeps_others_out_also_while_it_waits(module: types.ModuleType) -> None:
    kernel, process = a_world()
    seen: list[tuple[str, float]] = []

    def main() -> None:
        lock = module.threading.Lock()

        def hold(name: str) -> None:
            with lock:
                kernel.sleep(2.0)
                seen.append((name, kernel.now))

        for name in ("first", "second"):
            module.threading.Thread(target=hold, args=(name,)).start()

    with threads.installed([module]):
        kernel.spawn(process, main)
        finish(kernel)
    assert seen == [("first", 2.0), ("second", 4.0)]


def test_a_timer_fires_unless_it_is_cancelled(module: types.ModuleType) -> None:
    kernel, process = a_world()
    seen: list[tuple[str, float]] = []

    def main() -> None:
        for name in ("kept", "cancelled"):
            timer = module.threading.Timer(3.0, lambda it: seen.append((it, kernel.now)), args=(name,))
            timer.start()
        timer.cancel()

    with threads.installed([module]):
        kernel.spawn(process, main)
        finish(kernel)
    assert seen == [("kept", 3.0)]
