"""End processes for good: everything below a process, everything in a control group.

Imports next to nothing, because the supervisor of every tool starts with it.
"""

from __future__ import annotations

import os
import time

SIGTERM, SIGKILL, SIGSTOP = 15, 9, 19 if os.uname().sysname == "Linux" else 17
RETRY_EVERY = 0.002  # seconds
STOPPING_ROUNDS = 8
CHASE = 0.01  # seconds


def descendants(root: int) -> set[int]:
    """Every process below ``root``; empty where there is no ``/proc``.

    Zombies count: the first thread of a process may have ended while others go on.
    """
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return set()
    for name in names:
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile
        children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    reached = [root]
    while reached:
        for child in children.get(reached.pop(), ()):
            if child not in found:
                found.add(child)
                reached.append(child)
    return found


def send(pid: int, signal: int) -> None:
    """Signal a process, or a group (negative); one that is gone or not ours is no error."""
    try:
        os.kill(pid, signal)
    except (ProcessLookupError, PermissionError):
        pass  # gone, or a set-user-id program that only root may end: what is left is counted afterwards


def reap() -> bool:
    """Collect every child that has ended. False when there is no child left at all."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


def kill_below(deadline: float) -> set[int]:
    """Kill everything below this process, which must be their subreaper; what is left at the deadline.

    A process that ends hands its children on to us, so killing our own children reaches everything. Against processes
    that multiply meanwhile, all are stopped before the first is killed. Against one that flees (forks and ends, over
    and over, faster than a list of all processes can be read) only looking where it turns up is fast enough: among
    our own children. ``deadline`` is on the monotonic clock.
    """
    pause = 0.0
    while kill_own_children():
        stopped: set[int] = set()
        for _ in range(STOPPING_ROUNDS):
            found = descendants(os.getpid())
            if found <= stopped:
                break
            for pid in found - stopped:
                send(pid, SIGSTOP)
            stopped |= found
        for pid in stopped:
            send(pid, SIGKILL)
        if time.monotonic() >= deadline:
            return descendants(os.getpid())
        time.sleep(pause)  # by now they wait for a disk, or are not ours to kill
        pause = min(0.05, pause + RETRY_EVERY)
    return set()


def kill_own_children() -> bool:
    """Kill our children, and those that they hand on, for a moment. False when there is none left."""
    until = time.monotonic() + CHASE
    while reap():
        if time.monotonic() >= until:
            return True
        for pid in own_children():
            send(pid, SIGKILL)
    return False


def own_children() -> list[int]:
    """This process's children, from the one file that lists them; empty where the kernel has no such file."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def members(folders: list[str]) -> set[int]:
    """The processes in any of these control groups."""
    found: set[int] = set()
    for folder in folders:
        try:
            with open(f"{folder}/cgroup.procs", "rb") as file:
                found.update(int(line) for line in file)
        except (OSError, ValueError):
            continue  # removed, or never joined
    return found - {0}


def kill_group(folders: list[str], deadline: float) -> set[int]:
    """Kill every process in these control groups (one group, seen in several hierarchies); what is left.

    Version 2 has one file for it. In version 1, and before Linux 5.14, forking is forbidden first, so that
    no process escapes between the list and the signal. The limit on the processor goes first of all: a killed
    process has to run once more to end.
    """
    for folder in folders:
        _write(f"{folder}/cpu.max", "max")
        _write(f"{folder}/cpu.cfs_quota_us", "-1")
        if not _write(f"{folder}/cgroup.kill", "1"):
            _write(f"{folder}/pids.max", "0")
    while left := members(folders):
        for pid in left:
            send(pid, SIGKILL)
        if time.monotonic() >= deadline:
            return left
        time.sleep(RETRY_EVERY)
    return set()


def remove_group(folders: list[str], deadline: float) -> bool:
    """Remove the control groups, with those that a tool has made below them; a process that is still being torn down
    keeps its group busy for a moment."""
    for folder in folders:
        while True:
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                break
            except OSError:
                if below := groups_below(folder):
                    if not remove_group(below, deadline):
                        return False
                    continue
                if time.monotonic() >= deadline:
                    return False
                time.sleep(RETRY_EVERY)
            else:
                break
    return True


def groups_below(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []  # it has been removed meanwhile


def _write(path: str, text: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(descriptor, text.encode())
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
