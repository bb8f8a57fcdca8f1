"""The room that a builder of images runs in: root, but with this machine's files out of sight.

A builder mounts file systems and makes namespaces, which is just what the sandbox of tools forbids. So it stays root,
and what it is given is a view of its own: the system read-only, the checkout read-only, the folders named, private
``/tmp`` and ``/run``, processes of its own. When its first process ends, however, the kernel ends all of them, the
containers of build steps included, and every mount goes with the room. The steps themselves run in containers that the
builder makes, with few of root's rights.

It is no fence against the builder: code that takes over the builder itself is root on this machine.
Source: bwrap(1), pid_namespaces(7), mount_namespaces(7).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from turnout.runtimes.cgroups import Cgroups, own_folders
from turnout.runtimes.sandbox_bubblewrap import TMP
from turnout.runtimes.sandbox_child import BLOCK_FD, FIRST_DATA_FD, OPTIONS_FD, STATUS_FD
from turnout.runtimes.sandbox_host import Host
from turnout.runtimes.sandbox_network import resolver
from turnout.runtimes.sandbox_reap import remove_group
from turnout.runtimes.sandbox_spec import (
    MINIMAL_PATH,
    SandboxSpec,
    Wrapped,
    checked_argv,
    is_program,
    rlimits,
    working_directory,
)

# What no builder needs of root's rights. Source: capabilities(7).
DROPPED = (
    "AUDIT_CONTROL", "AUDIT_READ", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "SYSLOG", "SYS_BOOT", "SYS_MODULE",
    "SYS_PACCT", "SYS_RAWIO", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BuilderRoom:
    """``host``: as `sandbox_bubblewrap.look` finds it. ``files``: path to content, of files that only root can read and
    that are on no disk. ``network``: the program that gives it a network of its own, empty: it has this machine's.
    """

    host: Host
    cgroups: Cgroups | None
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    network: str = ""
    name: Literal["bubblewrap"] = field(default="bubblewrap", init=False)

    def describe(self) -> str:
        limits = self.cgroups.describe() if self.cgroups else "no limits on the builder as a whole"
        network = "a network of its own" if self.network else "this machine's network"
        return f"the builder: root in a room of its own, with {network}; {limits}"

    def which(self, program: str, spec: SandboxSpec) -> str | None:
        found = shutil.which(program, path=spec.env.get("PATH", MINIMAL_PATH))
        shown = [Path("/", name) for name, _ in self.host.system]
        if found is None or not is_program(Path(found)):
            return None
        return found if any(Path(found).resolve().is_relative_to(place) for place in shown) else None

    def wrap(self, argv: Sequence[str], spec: SandboxSpec) -> Wrapped:
        workspace, cwd = working_directory(spec)
        private = spec.network and bool(self.network)
        files = dict(self.files)
        if private:
            files["/etc/resolv.conf"] = resolver(_text("/etc/resolv.conf"))
        options = [
            "--unshare-pid", "--unshare-ipc", "--unshare-uts",
            *(["--unshare-net"] if private or not spec.network else []),
            *(["--block-fd", str(BLOCK_FD)] if private else []),
            "--die-with-parent", "--new-session", "--hostname", "turnout", "--json-status-fd", str(STATUS_FD),
            "--cap-add", "ALL", *(word for name in DROPPED for word in ("--cap-drop", f"CAP_{name}")),
            *self._system(private=private, network=spec.network),
            "--ro-bind", str(workspace), str(workspace),
        ]  # fmt: skip
        for mount in sorted(spec.mounts, key=lambda each: len(each.at.parts)):
            options += [
                "--bind" if mount.writable else "--ro-bind",
                str(mount.source.resolve()),
                str(mount.at),
            ]
        for number, path in enumerate(files, FIRST_DATA_FD):
            options += ["--perms", "0600", "--file", str(number), path]
        options += ["--remount-ro", "/", "--chdir", str(cwd), "--clearenv"]
        env = {"PATH": MINIMAL_PATH, "HOME": "/root", "LANG": "C.UTF-8", **spec.env}
        for key, value in sorted(env.items()):
            options += ["--setenv", key, value]
        return Wrapped(
            argv=(
                self.host.bwrap,
                "--args",
                str(OPTIONS_FD),
                "--",
                "/usr/bin/env",
                "--",
                *checked_argv(argv),
            ),
            env={},
            cwd=Path("/"),
            limits=spec.limits,
            options=tuple(options),
            data={number: text.encode() for number, text in enumerate(files.values(), FIRST_DATA_FD)},
            rlimits=tuple(rlimits(spec, weak=False)),
            network=self.network if private else "",
        )

    def _system(self, *, private: bool, network: bool) -> list[str]:
        options: list[str] = []
        for name, link in self.host.system:
            options += (
                ["--ro-bind", f"/{name}", f"/{name}"] if link is None else ["--symlink", link, f"/{name}"]
            )
        options += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/sys", "/sys"]
        options += ["--bind-try", "/sys/fs/cgroup", "/sys/fs/cgroup"]
        # /var/cache: where it keeps what it found a short name, like `python:3.11`, to be
        for folder in (TMP, "/var/tmp", "/var/cache", "/run", "/root", "/etc/containers"):  # noqa: S108 - in the room, private
            options += ["--tmpfs", folder]
        options += ["--dir", "/etc"]
        names = [*self.host.etc, "passwd", "group", "nsswitch.conf"]
        names += [
            each for each in self.host.etc_network if network and not (private and each == "resolv.conf")
        ]
        for name in names:
            options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        return options


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def sweep_groups(prefix: str, proc: Path = Path("/proc/self")) -> None:
    """Remove the empty control groups that a container runtime left behind when it was killed.

    In each hierarchy they are below our own group, or beside it. Groups in use cannot be removed.
    """
    try:
        own = own_folders((proc / "mountinfo").read_text(), (proc / "cgroup").read_text())
    except OSError:
        return  # there are none on this system
    for folder in {*own.values(), *(each.parent for each in own.values())}:
        for left in folder.glob(f"{prefix}*"):
            if os.path.isdir(left):
                remove_group([str(left)], deadline=0.0)
