"""Resident memory of a system: the proportional set size of all its processes, so that shared pages count once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def family(roots: Iterable[int]) -> set[int]:
    """These processes and all that descend from them."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        parents.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += parents.get(pid, [])
    return found


def resident(roots: Iterable[int]) -> float:
    """Megabytes (10⁶ bytes), proportional set size, of these processes and their descendants."""
    return sum(map(_pss, family(roots))) / 1000


def _pss(pid: int) -> float:
    """Kilobytes; nothing for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) * 1.024 for line in lines if line.startswith("Pss:"))
