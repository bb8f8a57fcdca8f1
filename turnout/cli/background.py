"""The stack that a run needs: the one that is up, or one started for the time of the run."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from turnout.adapters.settings import Settings
from turnout.core.errors import PermanentError
from turnout.stack.layout import read_running
from turnout.stack.lock import held
from turnout.stack.supervisor import PR_SET_PDEATHSIG

READY_WITHIN = 30.0


@dataclass(frozen=True)
class Stack:
    """``alive``: whether somebody is there to go on with a run. ``started``: it was started for this run."""

    alive: Callable[[], bool]
    started: bool


@contextmanager
def attach_or_start(settings: Settings) -> Iterator[Stack]:
    """A stack that started here is drained at the end. It comes up while the caller goes on: what is asked of it
    meanwhile waits in the log.

    Raises: PermanentError with the stack's own words when it does not come up.
    """
    if held(settings.home):
        yield Stack(alive=lambda: held(settings.home), started=False)
        return
    log = settings.home / "stack.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "turnout", "up", "--port", "0", "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_end_with_us,
        )
    try:
        yield Stack(alive=lambda: process.poll() is None, started=True)
    finally:
        _end(process)
    if process.returncode not in (0, -signal.SIGTERM):
        tail = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise PermanentError(f"the stack ended with status {process.returncode}: {tail[0]}", f"see {log}")


def _end_with_us() -> None:
    """In the child: the kernel asks it to stop when the process that started it is gone, however that ended."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_up(settings: Settings, timeout: float = READY_WITHIN) -> bool:
    """Whether a stack of this home is up, with its parts ready, within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        running = read_running(settings.home)
        if held(settings.home) and running is not None and running.ready:
            return True
        time.sleep(0.02)
    return False
