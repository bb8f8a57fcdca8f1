"""Which process a member of a group is, and whether it still lives: asked of the kernel where it is the same one."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """``host`` is the same for two processes only if their pids mean the same: one boot, one list of processes.

    ``started``: when it began, in the kernel's clock ticks since the boot; a pid given out again differs in it.
    """

    host: str
    pid: int
    started: str


def this_process() -> Process:
    pid = os.getpid()
    return Process(_host(), pid, _started(pid))


def is_gone(process: Process) -> bool:
    """True only where that is certain."""
    if process.host != _host():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # another user's: it lives
    now = _started(process.pid)
    return bool(process.started and now and now != process.started)


def watch(process: Process) -> int | None:
    """A descriptor that becomes readable when the process ends; None where there is no such thing, or it is gone."""
    if process.host != _host() or process.pid == os.getpid() or not hasattr(os, "pidfd_open"):
        return None
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return None
    if is_gone(process):  # the pid is another's now
        os.close(descriptor)
        return None
    return descriptor


@lru_cache(maxsize=1)
def _host() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    """Field 22 of ``/proc/PID/stat``, empty where there is none. Source: man 5 proc.

    A zombie has ended, though its parent has not noticed: it gets a start of its own.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if fields[0] in ("Z", "X") else fields[19]
