"""No I/O point is forgotten: what a protocol names is what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.faults import Fault, Faults
from tests.simulation.kernel import Kernel, Process
from tests.simulation.wires import (
    ARTIFACTS,
    CHAT,
    CLAIMS,
    HOOKS,
    JOBS,
    MISSED,
    PRODUCER,
    SECRETS,
    STORE,
    Unheard,
    Wire,
)
from turnout.core.errors import TransientError
from turnout.core.ports import Claims, JobRuntime, Producer, Secrets, Store, Uploads
from turnout.core.ports.ledger import Hooks, MissedDeliveries
from turnout.reporting.slack_channel import Chat


@pytest.mark.parametrize(
    ("protocol", "known"),
    [
        (Store, STORE),
        (Producer, PRODUCER),
        (Claims, CLAIMS),
        (Chat, CHAT),
        (JobRuntime, JOBS),
        (Uploads, ARTIFACTS),
        (Secrets, SECRETS),
        (MissedDeliveries, MISSED),
        (Hooks, HOOKS),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_every_method_of_a_port_can_go_wrong(protocol: Any, known: dict[str, object]) -> None:
    every = {name: each for base in protocol.__mro__ for name, each in vars(base).items()}
    methods = {name for name, each in every.items() if callable(each) and not name.startswith("_")}
    assert methods == set(known)


class Disk:
    def __init__(self) -> None:
        self.written = 0

    def write(self) -> int:
        self.written += 1
        return self.written


def write(fault: Fault | None) -> tuple[list[object], Disk, Process]:
    kernel = Kernel(1)
    process, disk, seen = Process(kernel, "p"), Disk(), list[object]()
    faults = Faults({fault: 1.0} if fault else {}, calm=100.0)
    port = Wire(process, faults, None).port(disk, "disk", {"write": tuple(Fault)})

    def work() -> None:
        try:
            seen.append(port.write())
        except TransientError as error:
            seen.append(type(error))

    kernel.spawn(process, work)
    kernel.run(1000.0, lambda: False)
    return seen, disk, process


@pytest.mark.parametrize(
    ("fault", "seen", "written", "alive"),
    [
        (None, [1], 1, True),
        (Fault.SLOW, [1], 1, True),
        (Fault.REFUSED, [TransientError], 0, True),
        (Fault.UNKNOWN, [Unheard], 1, True),
        (Fault.CRASH_BEFORE, [], 0, False),
        (Fault.CRASH_AFTER, [], 1, False),
    ],
)
def test_what_each_fault_does(fault: Fault | None, seen: list[object], written: int, alive: bool) -> None:
    found, disk, process = write(fault)
    assert (found, disk.written, process.alive) == (seen, written, alive)


def test_in_the_calm_nothing_strikes() -> None:
    kernel = Kernel(1)
    faults = Faults(dict.fromkeys(Fault, 0.1), calm=10.0)
    process = Process(kernel, "p")
    kernel.now = 11.0
    assert {faults.strike(process, tuple(Fault)) for _ in range(200)} == {None}


def test_a_strike_that_is_left_out_changes_no_other() -> None:
    def struck(only: frozenset[str] | None) -> list[str]:
        kernel = Kernel(1)
        faults = Faults(dict.fromkeys(Fault, 0.05), calm=10.0, only=only)
        process = Process(kernel, "p")
        for _ in range(50):
            faults.strike(process, tuple(Fault))
        return faults.struck

    every = struck(None)
    assert len(every) > 3
    assert struck(frozenset(every[1:])) == every[1:]
