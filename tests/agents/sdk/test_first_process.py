from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from agents.sdk import first_process

PROGRAM = """
import os, signal, sys, time
from agents.sdk import first_process
before = os.getpid()
first_process.part()
assert os.getppid() == before
if sys.argv[1] == "orphan":
    middle = os.fork()
    if not middle:
        if not os.fork():
            time.sleep(0.2)
        os._exit(0)
    os.waitpid(middle, 0)
    os._exit(7)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
signal.signal(signal.SIGTERM, lambda *_: os._exit(42))
print("ready", flush=True)
signal.pause()
"""


def begin(what: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, what], stdout=subprocess.PIPE)


@pytest.mark.parametrize(("what", "status"), [("orphan", 7), ("killed", 128 + signal.SIGKILL)])
def test_it_ends_as_its_child_does(what: str, status: int) -> None:
    with begin(what) as process:
        assert process.wait(20) == status


def test_the_order_to_end_is_handed_on() -> None:
    with begin("waits") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 42


def test_a_process_that_is_not_a_containers_first_goes_on_as_it_is() -> None:
    before = os.getpid()
    first_process.stand_before()
    assert os.getpid() == before
