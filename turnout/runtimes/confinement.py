"""What holds this very process in, whoever set that up: a container, a unit of the init system.

Source: proc(5) /proc/pid/status, /proc/pid/mountinfo; capabilities(7); seccomp(2).
"""

from __future__ import annotations

from pathlib import Path

_FILTERED = "2"


def confinement(proc: Path = Path("/proc/self")) -> str:
    """A list in words; empty: nothing does, or the kernel does not tell.

    Nothing counts for a process that could get more rights: capabilities that it may have, or programs that give some.
    """
    try:
        status = dict(
            line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line
        )
        mounts = (proc / "mountinfo").read_text().splitlines()
    except (OSError, ValueError):
        return ""
    if status.get("NoNewPrivs") != "1" or int(status.get("CapBnd", "f"), 16) != 0:
        return ""
    found = ["no privilege of the kernel and no way to one"]
    if status.get("Seccomp") == _FILTERED:
        found.append("a filter of system calls")
    roots = [line.split(" ") for line in mounts if line.split(" ")[4] == "/"]
    if roots and "ro" in roots[-1][5].split(","):
        found.append("a root that can't be written to")
    return ", ".join(found)
