"""Keeps the parts of a stack alive: starts them, starts the dead again, and lets them drain at the end.

Each part is a child process: a function run after `fork` (the imports of the parent are shared, so it is up at once),
or a command. A part says that it is ready by writing a line to the descriptor it is given; if the parent dies, the
kernel tells the parts (PR_SET_PDEATHSIG), so that no part outlives its stack.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from turnout.core.errors import TurnoutError
from turnout.logging import get_logger

log = get_logger()

SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
RESTART_AFTER = 0.2
MAX_RESTART_AFTER = 10.0
STEADY = 30.0
"""A part that has lived for so many seconds is taken to be sound again."""
PR_SET_PDEATHSIG = 1

Ready = Callable[[], None]


@dataclass(frozen=True)
class Part:
    """``body`` runs in a forked child and is given the function to call when it is ready; ``argv`` is executed instead
    where it is not empty, with ``TURNOUT_READY_FD`` naming the descriptor. ``order``: the lowest are stopped first;
    ``grace``: seconds from SIGTERM to SIGKILL."""

    name: str
    body: Callable[[Ready], None] | None = None
    argv: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    order: int = 0
    grace: float = 15.0


@dataclass
class _Child:
    part: Part
    pid: int
    started: float
    ready: int
    failures: int = 0
    is_ready: bool = False


class Supervisor:
    """Runs in the main thread of a process that has no other thread. ``on_change`` hears of every new pid."""

    def __init__(self, parts: Sequence[Part], on_change: Callable[[Mapping[str, int]], None]) -> None:
        self._parts = parts
        self._on_change = on_change
        self._children: dict[int, _Child] = {}
        self._restarts: list[tuple[float, Part, int]] = []
        self._stopping = False

    @property
    def pids(self) -> dict[str, int]:
        return {child.part.name: child.pid for child in self._children.values()}

    def start(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for part in self._parts:
            self._spawn(part, failures=0)
        self._on_change(self.pids)

    def wait_ready(self, timeout: float) -> Sequence[str]:
        """The names of the parts that are not ready when all are, or when ``timeout`` seconds have passed, or when
        the stack was told to stop."""
        deadline = time.monotonic() + timeout
        while waiting := self._unready():
            left = deadline - time.monotonic()
            if left <= 0 or self._stopping:
                return waiting
            self._turn(min(left, 0.02))
        return ()

    def run(self) -> None:
        """Until SIGTERM or SIGINT; a second SIGINT ends the parts at once."""
        while not self._stopping:
            self._turn(self._until_restart())
        self._drain()

    def stop(self) -> None:
        self._stopping = True

    # ----------------------------------------------------------------------------------------

    def _unready(self) -> list[str]:
        """Also those that are not there at all just now."""
        coming = [child.part.name for child in self._children.values() if not child.is_ready]
        return coming + [part.name for _, part, _ in self._restarts]

    def _until_restart(self) -> float:
        due = min((at for at, _, _ in self._restarts), default=time.monotonic() + 3600)
        return max(0.0, due - time.monotonic())

    def _turn(self, timeout: float) -> None:
        found = signal.sigtimedwait(SIGNALS, timeout)
        if found is not None and found.si_signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._stopping = True
        self._reap()
        self._read_ready()
        now = time.monotonic()
        due = [each for each in self._restarts if each[0] <= now]
        self._restarts = [each for each in self._restarts if each[0] > now]
        if not self._stopping:
            for _, part, failures in due:
                self._spawn(part, failures)
            if due:
                self._on_change(self.pids)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                continue
            os.close(child.ready)
            if self._stopping:
                continue
            lived = time.monotonic() - child.started
            failures = 0 if lived > STEADY else child.failures + 1
            delay = 0.0 if failures <= 1 else min(MAX_RESTART_AFTER, RESTART_AFTER * 2**failures)
            log.warning(
                "part ended; it is started again", part=child.part.name, how=_how(status), after=delay
            )
            self._restarts.append((time.monotonic() + delay, child.part, failures))

    def _read_ready(self) -> None:
        for child in self._children.values():
            if not child.is_ready:
                try:
                    child.is_ready = os.read(child.ready, 1) == b"\n"
                except BlockingIOError:
                    continue

    def _spawn(self, part: Part, failures: int) -> None:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _child(part, writing, parent)
        os.close(writing)
        self._children[pid] = _Child(part, pid, time.monotonic(), reading, failures)

    def _drain(self) -> None:
        for order in sorted({child.part.order for child in self._children.values()}):
            self._drain_order(order)

    def _drain_order(self, order: int) -> None:
        def alive() -> list[_Child]:
            return [child for child in self._children.values() if child.part.order == order]

        _send(alive(), signal.SIGTERM)
        deadline = time.monotonic() + max((child.part.grace for child in alive()), default=0.0)
        while alive():
            left = deadline - time.monotonic()
            if left <= 0:
                _send(alive(), signal.SIGKILL)
            found = signal.sigtimedwait(SIGNALS, max(left, 0.05))
            if found is not None and found.si_signo == signal.SIGINT:
                deadline = time.monotonic()
            self._reap()


def _send(children: Sequence[_Child], number: signal.Signals) -> None:
    for child in children:
        try:
            os.kill(child.pid, number)
        except ProcessLookupError:
            continue


def _child(part: Part, ready: int, parent: int) -> None:
    """The life of a child; never returns."""
    status = 1
    try:
        os.setpgid(0, 0)  # Ctrl-C in a terminal goes to the supervisor alone, which then drains in order
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        if os.getppid() != parent:
            os._exit(0)
        os.environ.update(part.env)
        if part.argv:
            os.set_inheritable(ready, True)
            os.environ["TURNOUT_READY_FD"] = str(ready)
            os.execvp(part.argv[0], list(part.argv))  # noqa: S606  # a list, no shell
        if part.body is not None:
            part.body(lambda: _say_ready(ready))
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except TurnoutError as error:
        log.error("part failed", part=part.name, reason=str(error))
    except BaseException:
        log.exception("part failed", part=part.name)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say_ready(descriptor: int) -> None:
    os.write(descriptor, b"\n")


def ready_from_environment() -> Ready:
    """For a part that was executed: the function to call when it is ready (does nothing where nobody waits)."""
    descriptor = os.environ.pop("TURNOUT_READY_FD", "")
    return (lambda: _say_ready(int(descriptor))) if descriptor else (lambda: None)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.waitstatus_to_exitcode(status)}"
