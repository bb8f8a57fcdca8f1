from __future__ import annotations

import os
import subprocess

from tests.bench.memory import family, resident


def test_the_children_of_a_process_belong_to_its_family_and_its_memory() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert {os.getpid(), child.pid} <= family([os.getpid()])
            assert family([child.pid]) == {child.pid}
            assert 0 < resident([child.pid]) < resident([os.getpid()])
        finally:
            child.kill()


def test_a_process_that_has_ended_holds_nothing() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert resident([child.pid]) == 0
