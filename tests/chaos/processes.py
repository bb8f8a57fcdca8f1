"""Processes of this machine and what they have started. Source: proc(5)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path


def parents() -> dict[int, int]:
    """Every process and its parent."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                stat = Path("/proc", name, "stat").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            found[int(name)] = int(stat.rpartition(b")")[2].split()[1])
    return found


def tree(pid: int) -> list[int]:
    """The process and all that descend from it, those nearest to it first."""
    parent = parents()
    found = [pid]
    for each in found:
        found += [child for child, of in parent.items() if of == each]
    return found


def send(pids: Iterable[int], number: signal.Signals) -> Sequence[int]:
    """Those that were still there to hear it."""
    heard = []
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        heard.append(pid)
    return heard
