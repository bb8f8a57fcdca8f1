"""SIGKILL each process in turn in the middle of a burst of runs: all end, nothing is done twice, one message a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.kafka.broker import Broker
from tests.e2e.system import System, check_each_thing_once
from tests.waiting import wait_until

pytestmark = pytest.mark.real

BURST = 12
SEPARATE = ["webhook", "orchestrator", "launcher", "reporter", "sweeper", "dispatcher", "agent-script"]


def burst(system: System, killing: Iterator[None]) -> None:
    """Deliver pushes while ``killing`` strikes each time it is advanced; then see what came of it."""
    ids: list[str] = []

    def deliver() -> None:
        for number in range(BURST):
            ids.append(system.deliver(f"d{number}", within=120))

    pushing = threading.Thread(target=deliver)
    pushing.start()
    for blow in killing:
        del blow
        wait_until(_more_than(system, len(system.effects_done()), pushing), 60, "work goes on")
    pushing.join()
    assert len(ids) == BURST
    runs = system.wait_for(ids, within=180)
    check_each_thing_once(system, runs)
    assert len(system.wait_for_messages(BURST, within=90)) == BURST


def _more_than(system: System, seen: int, pushing: threading.Thread) -> Callable[[], bool]:
    return lambda: len(system.effects_done()) > seen or not pushing.is_alive()


def parts_in_turn(system: System, names: list[str]) -> Iterator[None]:
    for name in names:
        system.kill(name)
        yield


@pytest.mark.timeout(400)
def test_every_process_of_the_separate_stack_is_killed_in_turn(tmp_path: Path) -> None:
    with System(tmp_path, arguments=["--separate"]) as system:
        system.make_repository()
        system.start()
        burst(system, parts_in_turn(system, SEPARATE))


@pytest.mark.timeout(400)
def test_every_process_of_the_stack_in_one_is_killed_in_turn(tmp_path: Path) -> None:
    with System(tmp_path) as system:
        system.make_repository()
        system.start()
        burst(system, parts_in_turn(system, ["functions", "dispatcher", "agents"] * 2))


@pytest.mark.timeout(400)
def test_the_supervisor_is_killed_and_a_second_start_goes_on(tmp_path: Path) -> None:
    def blows(system: System) -> Iterator[None]:
        for with_parts in (True, False, True):
            system.kill_supervisor(with_parts=with_parts)
            system.start()
            yield

    with System(tmp_path) as system:
        system.make_repository()
        system.start()
        burst(system, blows(system))


@pytest.mark.timeout(600)
def test_on_kafka_every_process_and_the_broker_are_killed_in_turn(tmp_path: Path) -> None:
    def blows(system: System, broker: Broker) -> Iterator[None]:
        broker.kill()
        broker.start()
        yield
        yield from parts_in_turn(system, SEPARATE)

    with (
        Broker() as broker,
        System(tmp_path, {"TURNOUT_KAFKA_BOOTSTRAP": broker.bootstrap}, ["--separate"]) as system,
    ):
        system.make_repository()
        system.start()
        burst(system, blows(system, broker))


@pytest.mark.timeout(200)
def test_a_part_that_ends_while_the_home_takes_no_files_is_started_again(tmp_path: Path) -> None:
    with System(tmp_path) as system:
        system.make_repository()
        stack = system.start()
        told = system.wiring.settings.home / "stack.json"
        kept = told.read_bytes()
        told.unlink()
        told.mkdir()  # nothing can take its place, as on a full disk
        os.kill(stack.parts["dispatcher"], signal.SIGKILL)
        wait_until(lambda: "can't say what it is" in system.log.read_text(), 30, "it says so")
        told.rmdir()
        told.write_bytes(kept)
        system.wait_for([system.deliver()], within=60)
        assert system.process is not None
        assert (system.process.pid, system.process.poll()) == (stack.pid, None)
