"""Control groups, version 1 and 2: limits for a tool, and a way to end all of it.

Groups are made below our own (or beside it, where version 2 forbids processes in a group that has
children), so that limits which somebody set for us hold for our tools, too.
Source: Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of Linux.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from turnout.core.errors import PermanentError, TransientError
from turnout.runtimes.sandbox_reap import kill_group, remove_group

Controller = Literal["memory", "pids", "cpu"]
CONTROLLERS: tuple[Controller, ...] = ("memory", "pids", "cpu")
CPU_PERIOD = 100_000  # microseconds
OVERHEAD_PIDS = 3  # the launcher's own processes are in the group, too
MOST_LEFT = 1000
_NAME = re.compile(r"turnout-(\d+)-\d+")
_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Limits:
    """``memory_bytes``: without swap. ``cpus``: 0.5 is half of one core. ``pids``: processes and threads.

    ``file_bytes``: of any one file; no control group sees to that, and it holds everywhere.
    """

    memory_bytes: int | None = None
    cpus: float | None = None
    pids: int | None = None
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One tool's group. ``folders``: one a hierarchy (version 2: one)."""

    version: Literal[1, 2]
    folders: Mapping[Controller, Path]

    @property
    def paths(self) -> list[str]:
        return list(dict.fromkeys(map(str, self.folders.values())))

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed because the memory limit was reached."""
        if "memory" not in self.folders:
            return 0
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        try:
            lines = (self.folders["memory"] / name).read_text().splitlines()
        except OSError:
            return 0  # removed already
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def kill(self, within: float) -> set[int]:
        """Kill all its processes; those that are left after so many seconds."""
        return kill_group(self.paths, time.monotonic() + within)

    def remove(self, within: float = 2.0) -> bool:
        """False when a process kept it busy for so many seconds."""
        return remove_group(self.paths, time.monotonic() + within)


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where groups can be made: the parent folder of each controller that can be used."""

    version: Literal[1, 2]
    parents: Mapping[Controller, Path]

    def describe(self) -> str:
        names = [name for name in CONTROLLERS if name in self.parents]
        missing = [name for name in CONTROLLERS if name not in self.parents]
        lacks = f" (no {' and '.join(missing)} controller here)" if missing else ""
        return f"{', '.join(names)} limits by cgroup v{self.version}{lacks}"

    def create(self, limits: Limits) -> Cgroup:
        """A new, empty group with the limits set. Raises: TransientError."""
        for _ in range(MOST_LEFT):
            try:
                return self._create(f"turnout-{os.getpid()}-{next(_serial)}", limits)
            except FileExistsError:
                continue  # left behind by one that was killed, and had our process id before us
        raise TransientError(f"{MOST_LEFT} control groups of this process's id are left from another one")

    def _create(self, name: str, limits: Limits) -> Cgroup:
        folders = {controller: parent / name for controller, parent in self.parents.items()}
        group = Cgroup(self.version, folders)
        try:
            for path in group.paths:
                os.mkdir(path)
            for controller, file, value in settings(self.version, limits):
                if controller in folders:
                    _write(folders[controller] / file, value)
        except FileExistsError:
            group.remove(within=0.0)
            raise
        except OSError as problem:
            group.remove(within=0.0)
            raise TransientError(
                f"the control group {problem.filename or name} could not be made: {problem.strerror}",
                "look at who may write below /sys/fs/cgroup, or set TURNOUT_CGROUP=none to do without limits",
            ) from problem
        return group

    def sweep(self) -> None:
        """Remove the empty groups of processes that ended without doing so. Groups in use cannot be removed."""
        for parent in set(self.parents.values()):
            for folder in parent.glob("turnout-*-*"):
                name = _NAME.fullmatch(folder.name)
                if name and not os.path.exists(f"/proc/{name[1]}"):
                    remove_group([str(folder)], deadline=0.0)


def settings(version: Literal[1, 2], limits: Limits) -> list[tuple[Controller, str, str]]:
    """(controller, file, value) in the order of writing. A ``?`` before a file: it may not exist."""
    wanted: list[tuple[Controller, str, str]] = []
    if (memory := limits.memory_bytes) is not None:
        if version == 2:
            wanted += [("memory", "memory.max", str(memory)), ("memory", "?memory.swap.max", "0")]
        else:
            wanted += [
                ("memory", "memory.limit_in_bytes", str(memory)),
                ("memory", "?memory.memsw.limit_in_bytes", str(memory)),
            ]
    if limits.pids is not None:
        wanted.append(("pids", "pids.max", str(limits.pids + OVERHEAD_PIDS)))
    if limits.cpus is not None:
        quota = max(1000, round(limits.cpus * CPU_PERIOD))
        if version == 2:
            wanted.append(("cpu", "cpu.max", f"{quota} {CPU_PERIOD}"))
        else:
            wanted += [("cpu", "cpu.cfs_period_us", str(CPU_PERIOD)), ("cpu", "cpu.cfs_quota_us", str(quota))]
    return wanted


def discover(choice: str = "", *, proc: Path = Path("/proc/self")) -> tuple[Cgroups | None, str]:
    """What can be used here, or None and why not. Groups are really made and removed to find out.

    ``choice`` is the setting ``TURNOUT_CGROUP``: empty (look), ``none``, or the folder of a version 2 group that
    Turnout may use as its own. Raises: PermanentError when that folder cannot be used.
    """
    if choice == "none":
        return None, "cgroups are switched off"
    if choice:
        found, why = _version_2(Path(choice), Path(choice), ours=True)
        if found is None:
            raise PermanentError(
                f"TURNOUT_CGROUP={choice} cannot be used: {why}", "name a writable cgroup v2 folder"
            )
        return found, ""
    try:
        mounts = (proc / "mountinfo").read_text()
        own = (proc / "cgroup").read_text()
    except OSError:
        return None, "there are no cgroups on this system"
    folders = own_folders(mounts, own)
    parents: dict[Controller, Path] = {
        name: folder for name in CONTROLLERS if (folder := folders.get(name)) and _can_make(folder)
    }
    if parents:
        return Cgroups(1, parents), ""
    if unified := folders.get(""):
        return _version_2(unified, Path(unified_root(mounts)), ours=_delegated(unified))
    return None, "no cgroup is writable by this user"


def own_folders(mountinfo: str, own: str) -> dict[str, Path]:
    """This process's own folder in each hierarchy, by controller ("" is version 2).

    Source: proc(5) /proc/pid/mountinfo; cgroups(7) /proc/pid/cgroup.
    """
    paths: dict[str, str] = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    found: dict[str, Path] = {}
    for root, point, kind, options in _cgroup_mounts(mountinfo):
        for name in [""] if kind == "cgroup2" else options:
            path = paths.get(name, "/..")
            if path.startswith("/.."):
                continue  # our group lies outside what is mounted here
            above = root.rstrip("/")
            inside = path.removeprefix(above) if f"{path}/".startswith(f"{above}/") else path
            found.setdefault(name, Path(point, inside.strip("/")))
    return found


def unified_root(mountinfo: str) -> str:
    """Where version 2 is mounted."""
    return next(
        (point for _, point, kind, _ in _cgroup_mounts(mountinfo) if kind == "cgroup2"), "/sys/fs/cgroup"
    )


def _cgroup_mounts(mountinfo: str) -> Iterable[tuple[str, str, str, list[str]]]:
    """(root in the hierarchy, mount point, kind, options of the hierarchy)."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = (after.split(" ", 2) + ["", ""])[:3]
        if kind in ("cgroup", "cgroup2"):
            fields = before.split(" ")
            yield fields[3], fields[4].replace("\\040", " "), kind, options.split(",")


def _version_2(own: Path, root: Path, *, ours: bool) -> tuple[Cgroups | None, str]:
    """Our own group where it hands its controllers on, else the one above; a group that is declared ours is made to."""
    why = f"{own} is not writable by this user"
    for folder in [own] if own == root else [own, own.parent]:
        if not os.access(folder / "cgroup.procs", os.W_OK) or not _can_make(folder):
            continue
        usable = _hand_on(folder, ours=ours and folder == own)
        if usable:
            return Cgroups(2, dict.fromkeys(usable, folder)), ""
        why = f"{folder} hands no controller on to groups below it"
    return None, why


def _hand_on(folder: Path, *, ours: bool) -> list[Controller]:
    """The controllers that groups in this folder can use, enabled where that is possible.

    A group with processes of its own cannot hand controllers on (the rule of "no internal processes"). A group
    that is ours is made free: its processes move to a group of theirs below it.
    """
    offered = _words(folder / "cgroup.controllers")
    control = folder / "cgroup.subtree_control"
    wanted = [name for name in CONTROLLERS if name in offered]
    for name in wanted:
        if name in _words(control) or _try_write(control, f"+{name}"):
            continue
        if ours and _move_out(folder):
            _try_write(control, f"+{name}")
    return [name for name in wanted if name in _words(control)]


def _move_out(folder: Path) -> bool:
    inner = folder / "turnout-main"
    try:
        inner.mkdir(exist_ok=True)
        for _ in range(100):  # a process may fork while we move
            pids = (folder / "cgroup.procs").read_text().split()
            if not pids:
                return True
            for pid in pids:
                try:
                    _write(inner / "cgroup.procs", pid)
                except ProcessLookupError:
                    continue
    except OSError:
        return False
    return False


def _delegated(folder: Path) -> bool:
    """Whether systemd says that this group is its service's own (``Delegate=yes``).

    Source: systemd, docs/CGROUP_DELEGATION.md.
    """
    for attribute in ("user.delegate", "trusted.delegate"):
        try:
            if os.getxattr(folder, attribute) == b"1":
                return True
        except OSError:
            continue
    return False


def _can_make(folder: Path) -> bool:
    probe = folder / f"turnout-{os.getpid()}-0"
    try:
        probe.mkdir(exist_ok=True)
        probe.rmdir()
    except OSError:
        return False
    return True


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []  # not there, or not ours to read: nothing can be had from it


def _try_write(path: Path, value: str) -> bool:
    try:
        _write(path, value)
    except OSError:
        return False
    return True


def _write(path: Path, value: str) -> None:
    optional = path.name.startswith("?")
    try:
        descriptor = os.open(path.with_name(path.name.lstrip("?")), os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if optional:
            return
        raise
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
