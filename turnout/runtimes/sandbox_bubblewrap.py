"""bubblewrap: what its sandbox looks like, as data.

The system is read-only and only as much of it as programs need; the workspace is the one place of this
machine that can be written. The tool sees it at its own path, not at a fixed one: scripts of virtual
environments, coverage data, JUnit and SARIF files name absolute paths, and they mean the same inside, outside, and
where there is no sandbox.
Source: bwrap(1).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from turnout.runtimes.cgroups import OVERHEAD_PIDS, Cgroups
from turnout.runtimes.sandbox_child import BLOCK_FD, FIRST_DATA_FD, OPTIONS_FD, STATUS_FD
from turnout.runtimes.sandbox_host import Host, is_binary, shown
from turnout.runtimes.sandbox_network import resolver
from turnout.runtimes.sandbox_seccomp import filter_for
from turnout.runtimes.sandbox_spec import (
    InvalidSpec,
    SandboxSpec,
    Wrapped,
    checked_argv,
    is_program,
    rlimits,
    tool_env,
    working_directory,
)

TMP = "/tmp"  # noqa: S108 - in the sandbox, where it is private
HOME = "/tmp/home"  # noqa: S108 - likewise
OLDEST = (0, 5)  # --clearenv, --perms


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """``no_cgroups``: why there are none, where there are none.

    ``network``: the program that gives a tool that asks for the network one of its own; empty: it gets this machine's,
    and ``no_network`` says why.
    """

    host: Host
    cgroups: Cgroups | None
    no_cgroups: str = ""
    network: str = ""
    no_network: str = "slirp4netns was not looked for"
    name: Literal["bubblewrap"] = field(default="bubblewrap", init=False)

    def describe(self) -> str:
        version = ".".join(map(str, self.host.version))
        user = f"user {self.host.user}" if self.host.drops else "this user without its files"
        limits = self.cgroups.describe() if self.cgroups else f"{self._weak_limits()}: {self.no_cgroups}"
        filtered = "" if filter_for(self.host.machine) else f"; no system call filter for {self.host.machine}"
        network = "one of its own" if self.network else f"this machine's ({self.no_network})"
        return (
            f"sandbox: bubblewrap {version}, {user}, no network unless the task asks, then {network}; "
            f"{limits}{filtered}"
        )

    def _weak_limits(self) -> str:
        pids = "processes are limited, " if self.host.prlimit else "processes are not limited, "
        return f"{pids}memory only per process, cpu not"

    def which(self, program: str, spec: SandboxSpec) -> str | None:
        folders = tool_env(spec, HOME, TMP)["PATH"].split(":")
        for folder in [str(working_directory(spec)[1])] if "/" in program else folders:
            path = here = str(Path(folder, program))
            for mount in spec.mounts:
                if f"{path}/".startswith(f"{mount.at}/"):
                    here = str(mount.source / Path(path).relative_to(mount.at))
            if os.access(here, os.X_OK) and is_program(Path(here)) and self._shows(here, spec):
                return path
        return None

    def _shows(self, path: str, spec: SandboxSpec) -> bool:
        """Whether a file of this machine is in the sandbox, links resolved."""
        real = os.path.realpath(path)
        if real.startswith(self._system_folders()):
            return True
        binds = _binds(self.host, working_directory(spec)[0], spec)
        return any(real.startswith(f"{bind.source}/") or real == str(bind.source) for bind in binds)

    def _system_folders(self) -> tuple[str, ...]:
        return tuple(f"/{name}/" for name, _ in self.host.system)

    def wrap(self, argv: Sequence[str], spec: SandboxSpec) -> Wrapped:
        command = checked_argv(argv)
        if "=" in command[0]:
            raise InvalidSpec(f"a program cannot be named {command[0]!r}")
        workspace, cwd = working_directory(spec)
        binds = _binds(self.host, workspace, spec)
        staged: dict[Path, str] = {}
        if self.host.drops:
            staged = {bind.source: f"{TMP}/{number}" for number, bind in enumerate(binds)}
        private = spec.network and bool(self.network)
        data = _files(self.host, spec, private=private)
        options = [
            *_namespaces(self.host, spec, private=private),
            *_system(self.host, spec, data),
            *_places(binds, spec.hide, staged),
            "--remount-ro", "/",
            "--chdir", str(cwd),
            "--clearenv",
        ]  # fmt: skip
        for key, value in sorted(tool_env(spec, HOME, TMP).items()):
            options += ["--setenv", key, value]
        numbered = {number: content for number, (_, content) in enumerate(data, FIRST_DATA_FD)}
        if seccomp := filter_for(self.host.machine):
            number = FIRST_DATA_FD + len(data)
            numbered[number] = seccomp
            options += ["--seccomp", str(number)]
        return Wrapped(
            argv=(self.host.bwrap, "--args", str(OPTIONS_FD), "--", *self._first(command[0], spec), *command),
            env={},
            cwd=Path("/"),
            limits=spec.limits,
            options=tuple(options),
            data=numbered,
            staged=tuple(staged.items()),
            shown=shown(self.host) if staged else (),
            owner=self.host.user if self.host.drops else None,
            claimed=(workspace,),
            claimed_tops=tuple(
                b.source for b in binds if b.writable and b.source != workspace and b.source.is_dir()
            ),
            rlimits=tuple(rlimits(spec, weak=self.cgroups is None)),
            network=self.network if private else "",
        )

    def _first(self, program: str, spec: SandboxSpec) -> list[str]:
        """The first program in the sandbox: one that says 127 when the tool does not exist, as shells do.

        None for what can be seen to be a program of the system: one more costs a millisecond.
        """
        limited = spec.limits.pids is not None and (
            self.cgroups is None or "pids" not in self.cgroups.parents
        )
        if limited and spec.limits.pids is not None and self.host.prlimit:
            most = spec.limits.pids + OVERHEAD_PIDS
            return [self.host.prlimit, f"--nproc={most}:{most}", "--"]
        return [] if self._of_the_system(program, spec) else ["/usr/bin/env", "--"]

    def _of_the_system(self, program: str, spec: SandboxSpec) -> bool:
        """Whether the first of this name in ``PATH`` is a binary that lies in the system's folders, for everyone."""
        if "/" in program:
            return False
        system = self._system_folders()
        for folder in tool_env(spec, HOME, TMP)["PATH"].split(":"):
            covered = any(f"{mount.at}/".startswith(f"{folder}/") for mount in spec.mounts)
            if covered or not f"{folder}/".startswith(system):
                return False
            if is_binary(f"{folder}/{program}"):
                return os.path.realpath(f"{folder}/{program}").startswith(system)
            if os.path.lexists(f"{folder}/{program}"):
                return False
        return False


@dataclass(frozen=True, slots=True)
class _Bind:
    source: Path
    target: Path
    writable: bool


def _binds(host: Host, workspace: Path, spec: SandboxSpec) -> list[_Bind]:
    """Raises: InvalidSpec for a mount that does not exist or would replace the system."""
    binds = [_Bind(workspace, workspace, writable=True)]
    if host.prefix and not workspace.is_relative_to(host.prefix):
        binds.append(_Bind(host.prefix, host.prefix, writable=False))
    for mount in spec.mounts:
        if not mount.at.is_absolute() or ".." in mount.at.parts or mount.at == Path("/"):
            raise InvalidSpec(f"a mount's target has to be an absolute path below /, not {str(mount.at)!r}")
        if not mount.source.exists():
            raise InvalidSpec(f"{mount.source} cannot be mounted: it does not exist")
        binds.append(_Bind(mount.source.resolve(), mount.at, mount.writable))
    return binds


def _places(binds: Sequence[_Bind], hide: Sequence[Path], staged: dict[Path, str]) -> list[str]:
    """Outer places first, so that an inner one is mounted onto its outer one; what is hidden, last of its path."""
    steps: list[tuple[int, int, list[str]]] = []
    for bind in binds:
        option = "--bind" if bind.writable else "--ro-bind"
        source = staged.get(bind.source, str(bind.source))
        steps.append((len(bind.target.parts), 0, [option, source, str(bind.target)]))
    for path in hide:
        over = [bind for bind in binds if path.is_relative_to(bind.target)]
        if not over:
            continue  # nothing shows it
        outer = max(over, key=lambda bind: len(bind.target.parts))
        real = outer.source / path.relative_to(outer.target)
        if real.is_dir():
            steps.append((len(path.parts), 1, ["--tmpfs", str(path), "--remount-ro", str(path)]))
        elif real.exists():
            steps.append((len(path.parts), 1, ["--ro-bind", "/dev/null", str(path)]))
    return [word for _, _, words in sorted(steps, key=lambda step: step[:2]) for word in words]


def _namespaces(host: Host, spec: SandboxSpec, *, private: bool) -> list[str]:
    options = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if private or not spec.network:
        options.append("--unshare-net")
    if private:
        options += ["--block-fd", str(BLOCK_FD)]
    if host.version >= (0, 8):
        options.append("--disable-userns")
    return [
        *options,
        "--die-with-parent", "--new-session", "--hostname", "turnout", "--cap-drop", "ALL",
        "--json-status-fd", str(STATUS_FD),
    ]  # fmt: skip


def _system(host: Host, spec: SandboxSpec, data: Sequence[tuple[str, bytes]]) -> list[str]:
    options: list[str] = []
    for name, link in host.system:
        options += ["--ro-bind", f"/{name}", f"/{name}"] if link is None else ["--symlink", link, f"/{name}"]
    options += ["--proc", "/proc", "--dev", "/dev"]
    size: list[str] = []
    if spec.limits.memory_bytes and host.version >= (0, 7):
        size = [
            "--size",
            str(max(1, spec.limits.memory_bytes // 2)),
        ]  # as Linux does with the machine's memory
    for folder, mode in ((TMP, "1777"), ("/var/tmp", "1777"), ("/run", "0755")):  # noqa: S108
        options += ["--perms", mode, *size, "--tmpfs", folder]
    options += ["--perms", "0700", "--dir", HOME, "--perms", "0755", "--dir", "/etc"]
    for name in host.etc:
        options += ["--ro-bind", f"/etc/{name}", f"/etc/{name}"]
    made_up = {path for path, _ in data}
    for name in host.etc_network if spec.network else ():
        if f"/etc/{name}" in made_up:
            continue
        options += ["--ro-bind", f"/etc/{name}", f"/etc/{name}"]
    for number, (path, _) in enumerate(data, FIRST_DATA_FD):
        options += ["--perms", "0644", "--file", str(number), path]
    return options


def _files(host: Host, spec: SandboxSpec, *, private: bool) -> list[tuple[str, bytes]]:
    """The files that are made up: accounts, and what tells names of hosts where it is not as on this machine."""
    accounts = (
        "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"turnout:x:{host.user}:{host.group}:turnout:{HOME}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )
    groups = f"root:x:0:\nturnout:x:{host.group}:\nnogroup:x:65534:\n"
    files = [
        ("/etc/passwd", accounts),
        ("/etc/group", groups),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ]
    if not (spec.network and "hosts" in host.etc_network):
        files.append(("/etc/hosts", "127.0.0.1 localhost turnout\n::1 localhost\n"))
    if private:
        try:
            own = Path("/etc/resolv.conf").read_text("utf-8", "replace")
        except OSError:
            own = ""
        files.append(("/etc/resolv.conf", resolver(own)))
    return [(path, text.encode()) for path, text in files]
