"""Processes of this machine that have their pass alone keep what every runtime of launched jobs keeps."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.contracts.job_runtime import PassedJobContract, Step, go_on
from turnout.adapters.system_clock import SystemClock
from turnout.core.messages import TaskRequested
from turnout.core.model import Runtime
from turnout.gateway import Passes
from turnout.runtimes.marks import claimed_by
from turnout.runtimes.process import spawn
from turnout.runtimes.process_gateway import GatewayProcessRuntime

INHERITED = frozenset({"PATH", "TURNOUT_HOME"})


class Processes:
    kind = Runtime.PROCESS
    patience = 30.0
    begins = True

    def __init__(self, home: Path) -> None:
        self._home = home
        self._away = False

    def open(self, step: Step = go_on) -> GatewayProcessRuntime:
        def start(
            arguments: Sequence[str], environ: Mapping[str, str], said: Path, mark: str, job: str
        ) -> int:
            step("start a process")
            if self._away:
                raise OSError(11, "Resource temporarily unavailable")
            pid = spawn(arguments, environ, said, mark, job)
            step("wait for its mark")
            return pid

        return GatewayProcessRuntime(
            self._home,
            Passes("http://gateway.example.org/gateway", b"key", SystemClock()),
            environ={"PATH": os.environ["PATH"]},
            job="tests.runtimes.waiting_job",
            start=start,
        )

    def begun(self, attempt: str) -> int:
        """Those that went on after the mark; one that was ended right behind it has begun, too."""
        said = self._home / "launched" / f"{attempt}.begun"
        marked = claimed_by(self._home / "jobs" / f"{attempt}.launched") is not None
        return max(len(said.read_text().splitlines()) if said.exists() else 0, int(marked))

    def begin(self, attempt: str) -> None:
        raise AssertionError("jobs begin by themselves")

    def end(self, attempt: str, *, status: int = 0) -> None:
        place = self._home / "launched"
        place.mkdir(exist_ok=True)
        (place / f"{attempt}.end").write_text(str(status))

    def environment(self, attempt: str) -> Mapping[str, str]:
        raw = Path(f"/proc/{self._pid(attempt)}/environ").read_text().split("\0")
        found = dict(each.split("=", 1) for each in raw if each)
        return {name: value for name, value in found.items() if name not in INHERITED}

    @contextmanager
    def away(self) -> Iterator[None]:
        self._away = True
        yield
        self._away = False

    def refused(self) -> TaskRequested | None:
        return None

    def close(self) -> None:
        for mark in (self._home / "jobs").glob("*.launched"):
            found = claimed_by(mark)
            if found and found[1]:
                with suppress(ProcessLookupError):
                    os.kill(found[0], signal.SIGKILL)

    def _pid(self, attempt: str) -> int:
        found = claimed_by(self._home / "jobs" / f"{attempt}.launched")
        assert found is not None
        return found[0]


class TestProcessesThroughTheGateway(PassedJobContract):
    tells_status = False
    needs_its_platform = False

    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Processes]:
        made = Processes(tmp_path)
        yield made
        made.close()
