"""Forks a process for each attempt, from one that has everything imported already.

A process of its own, with one thread, started before its worker knows any credential. It holds nothing but the code of
the agents. It hears of the worker through a socket: a line and two descriptors (the attempt's end of its channel, and a
pipe) ask for a fork, ``kill PID`` ends one. Into the pipe it writes ``pid PID`` and, when the attempt has ended,
``exit STATUS``. When the worker is gone, the socket ends, and so does everything here.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field

from agents.sdk import attempt, local_workspace
from agents.sdk.channel import Channel
from agents.sdk.environment import sandbox
from agents.sdk.registry import load
from turnout.core.errors import TurnoutError
from turnout.runtimes import keeper_forker
from turnout.runtimes.keepers import Forker

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # Source: linux/prctl.h
STRAY_LIFE = 15.0  # seconds that what an attempt left behind gets to clean up after itself, as sandboxes do

PRELOADED = (attempt, local_workspace)


_libc = ctypes.CDLL(None)  # once: it costs as much as a fork


def prctl(option: int, value: int) -> None:
    if LINUX:
        _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0)


@dataclass
class Zygote:
    """``reports``: process id of each living attempt → the pipe for how it ends.

    ``sandbox`` as in `environment`; empty where none can be had as it was asked for: each attempt says so.
    """

    control: socket.socket
    sandbox: str = ""
    reports: dict[int, int] = field(default_factory=dict)
    strays: dict[int, float] = field(default_factory=dict)
    _forker: int = 0
    _forker_after: float = 0.0
    _own: tuple[int, ...] = ()
    _descriptors: list[int] = field(default_factory=list)
    _rest: bytes = b""

    def serve(self) -> None:
        """Until the worker is gone."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM):  # the worker decides when attempts end
            signal.signal(number, signal.SIG_IGN)
        self._asked, self._asks = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET if LINUX else socket.SOCK_DGRAM
        )
        life, self._life = os.pipe()
        self._own = (woken, wake, self.control.fileno(), self._asked.fileno(), life, self._life)
        self._start_forker()
        while True:
            timeout = 1.0 if self.strays or self._forker == 0 else None
            ready, _, _ = select.select([self.control.fileno(), woken], [], [], timeout)
            if woken in ready:
                os.read(woken, 1024)
            self._collect()
            if self._forker == 0 and time.monotonic() >= self._forker_after:
                self._start_forker()
            if self.control.fileno() in ready and not self._hear():
                break
        self._end_all()

    def _start_forker(self) -> None:
        """Of the tools' keepers. Where it ends before us, the next one hears what it has not heard."""
        self._forker_after = time.monotonic() + 1.0
        try:
            self._forker = keeper_forker.start(self._asked.fileno(), self._own[4])
        except OSError as error:
            print(f"nothing can fork keepers: {error.strerror}", file=sys.stderr)

    def _hear(self) -> bool:
        """Carry out what the worker asks for; False: it is gone."""
        try:
            piece, descriptors, _, _ = socket.recv_fds(self.control, 1 << 16, 8)
        except ConnectionError:
            return False
        if not piece:
            return False
        self._descriptors += descriptors
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            match line.split():
                case [b"fork"]:
                    channel, report = self._descriptors[:2]
                    del self._descriptors[:2]
                    self._fork(channel, report)
                case [b"kill", pid] if int(pid) in self.reports:
                    self._kill(int(pid))
                case _:
                    pass  # what was to be killed has ended
        return True

    def _fork(self, channel: int, report: int) -> None:
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            os.write(report, f"failed {error.strerror}\n".encode())
            os.close(channel)
            os.close(report)
            return
        if pid == 0:
            status = 70
            try:
                self._become_attempt(zygote, channel, report)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(channel)
        self.reports[pid] = report
        os.write(report, f"pid {pid}\n".encode())

    def _become_attempt(self, zygote: int, channel: int, report: int) -> None:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != zygote:
            return
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in (
            *self._own,
            *self.reports.values(),
            *self._descriptors,
            report,
        ):
            os.close(descriptor)
        attempt.main(Channel(socket.socket(fileno=channel)), self.sandbox, Forker(self._asks))

    def _collect(self) -> None:
        """Attempts that have ended, and what they left behind."""
        ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self.strays.pop(pid, None)
            if pid == self._forker:
                ended, self._forker = True, 0  # what it has left behind is ours now
            if (report := self.reports.pop(pid, None)) is not None:
                ended = True
                self._say(report, f"exit {os.waitstatus_to_exitcode(status)}\n")
                os.close(report)
        if LINUX and (ended or self.strays):
            now = time.monotonic()
            known = {*self.reports, self._forker}
            self.strays = {
                pid: self.strays.get(pid, now + STRAY_LIFE) for pid in children() if pid not in known
            }
            for pid, until in self.strays.items():
                if now >= until:
                    _send(pid, signal.SIGKILL)

    def _say(self, report: int, line: str) -> None:
        try:
            os.write(report, line.encode())
        except OSError:
            pass  # the worker has lost interest

    def _kill(self, pid: int) -> None:
        """The attempt and its group. Its tools are in sessions of their own, and their keepers notice."""
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            _send(pid, signal.SIGKILL)  # it has not made its session yet

    def _end_all(self) -> None:
        for pid in list(self.reports):
            self._kill(pid)
        os.close(
            self._life
        )  # the forker ends when its last keeper has: they notice that their attempts are gone
        until = time.monotonic() + STRAY_LIFE
        while self.reports or self.strays or self._forker:
            self._collect()
            if time.monotonic() > until:
                break
            time.sleep(0.02)


def children() -> list[int]:
    """Our children, adopted ones as well. Source: proc(5), /proc/pid/task/tid/children and /proc/pid/stat."""
    own = os.getpid()
    try:
        with open(f"/proc/{own}/task/{own}/children", "rb") as file:  # we have one thread
            return [int(each) for each in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return [int(name) for name in os.listdir("/proc") if name.isdecimal() and _parent(name) == own]


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0  # it has ended


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def main(control: int, agents: str, choice: str) -> None:
    """``agents``: a JSON list of ``module:function``, imported now so that no attempt has to wait for it."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # what an attempt leaves behind becomes ours, not the machine's
    for place in json.loads(agents):
        try:
            load(place)
        except TurnoutError as error:
            print(error, file=sys.stderr)
    try:
        sandbox(choice)
    except TurnoutError as error:
        print(error, file=sys.stderr)
        choice = ""
    gc.collect()
    gc.freeze()  # the collector's marks would copy every page in each fork
    Zygote(socket.socket(fileno=control), choice).serve()
