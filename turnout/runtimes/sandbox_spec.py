"""What is asked of a sandbox, and what a sandbox answers: values only."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from turnout.core.errors import PermanentError
from turnout.runtimes.cgroups import Cgroups, Limits

MINIMAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SandboxMissing(PermanentError):
    """A sandbox is required, and there is none that works here; the hint says how to get one."""


class InvalidSpec(PermanentError):
    """A sandbox was asked for something that it cannot give: a defect of the caller or of the pipeline file."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One more folder or file of this machine that the tool may see.

    ``target``: the absolute path in the sandbox; empty means the same as ``source``, which is what the
    sandbox called "none" can do, too.
    """

    source: Path
    target: str = ""
    writable: bool = False

    @property
    def at(self) -> Path:
        """The path that the tool sees."""
        return Path(self.target) if self.target else self.source


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What one tool needs. Everything that is not named here is not there.

    ``workspace`` is seen by the tool at its own absolute path (symbolic links resolved).
    ``cwd`` is relative to the workspace. ``env`` is all the tool gets besides `MINIMAL_PATH`, a private
    ``HOME``, ``LANG`` and Git's ``safe.directory``; it may override them.
    ``hide``: absolute paths that stay hidden although the workspace or a mount contains them.
    """

    workspace: Path
    network: bool = False
    limits: Limits = field(default_factory=Limits)
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "."
    hide: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A tool made ready to start: data for the supervisor (`turnout.runtimes.sandbox_supervisor`).

    ``argv`` and ``env`` belong to the program that is executed: the tool, or the sandbox's launcher.
    ``options``: the launcher's options, handed over through a pipe, because the environment in them may
    hold secrets and a command line is readable by everyone on the machine.
    ``data``: file descriptor number → content, for the options that read from a descriptor.
    ``staged``: (path here, path under ``/tmp``): what the launcher could not reach by itself once it is
    an unprivileged user; ``shown``: what else of this machine it reads.
    ``owner``: the user id that the tool runs as, where that is not ours.
    ``claimed``: files to be given to the owner first, folders with all that is in them;
    ``claimed_tops``: folders to be given without what is in them.
    ``private``: a folder to be made before, and removed after: the tool's home and temporary folder.
    ``rlimits``: (``resource.RLIMIT_*``, value).
    ``network``: the program that gives the tool a network of its own; empty: it needs none, or has this machine's.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    limits: Limits
    options: tuple[str, ...] = ()
    data: Mapping[int, bytes] = field(default_factory=dict)
    staged: tuple[tuple[Path, str], ...] = ()
    shown: tuple[str, ...] = ()
    owner: int | None = None
    claimed: tuple[Path, ...] = ()
    claimed_tops: tuple[Path, ...] = ()
    private: Path | None = None
    rlimits: tuple[tuple[int, int], ...] = ()
    network: str = ""

    @property
    def fenced(self) -> bool:
        """Whether ``argv`` is bubblewrap's."""
        return bool(self.options)


class Sandbox(Protocol):
    """Holds a tool in. ``cgroups``: where its limits are set, or None where no control group is writable."""

    @property
    def name(self) -> Literal["bubblewrap", "none"]: ...

    @property
    def cgroups(self) -> Cgroups | None: ...

    def describe(self) -> str:
        """One line for log and console: what holds and what does not."""
        ...

    def wrap(self, argv: Sequence[str], spec: SandboxSpec) -> Wrapped:
        """Raises: InvalidSpec."""
        ...

    def which(self, program: str, spec: SandboxSpec) -> str | None:
        """The absolute path at which a tool of this spec would find the program, or None."""
        ...


def tool_env(spec: SandboxSpec, home: str, tmp: str) -> dict[str, str]:
    """The whole environment of a tool: nothing of ours is inherited.

    Git refuses a repository whose owner is another user; the tool's view is fenced already, so all of it is
    declared safe, after whatever configuration the spec passes in the same way.
    Source: git-config(1), GIT_CONFIG_COUNT and safe.directory (respected at command scope).
    """
    env = {
        "PATH": MINIMAL_PATH,
        "HOME": home,
        "TMPDIR": tmp,
        "LANG": "C.UTF-8",
        "USER": "turnout",
        "LOGNAME": "turnout",
        **spec.env,
    }
    for key, value in env.items():
        if not key or "=" in key or "\0" in key or "\0" in value:
            raise InvalidSpec(f"{key!r} cannot be set as an environment variable")
    count = env.get("GIT_CONFIG_COUNT", "0")
    if count.isdecimal():
        env[f"GIT_CONFIG_KEY_{int(count)}"] = "safe.directory"
        env[f"GIT_CONFIG_VALUE_{int(count)}"] = "*"
        env["GIT_CONFIG_COUNT"] = str(int(count) + 1)
    return env


def checked_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """Raises: InvalidSpec for what no process can be started with."""
    if not argv or not argv[0]:
        raise InvalidSpec("there is no program to run", "give the program's name and its arguments")
    if any("\0" in argument for argument in argv):
        raise InvalidSpec(f"an argument of {argv[0]} holds a NUL character")
    return tuple(argv)


def working_directory(spec: SandboxSpec) -> tuple[Path, Path]:
    """The workspace and the working directory in it, symbolic links resolved.

    Raises: InvalidSpec when there is no such folder, or it is not inside the workspace.
    """
    workspace = spec.workspace.resolve()
    if workspace == Path("/") or not workspace.is_dir():
        raise InvalidSpec(f"the workspace {spec.workspace} is not a folder that a tool can be given")
    cwd = (workspace / spec.cwd).resolve()
    if not cwd.is_relative_to(workspace):
        raise InvalidSpec(f"the working directory {spec.cwd!r} is outside the workspace")
    if not cwd.is_dir():
        raise InvalidSpec(f"the working directory {spec.cwd!r} does not exist in the workspace")
    return workspace, cwd


def is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def rlimits(spec: SandboxSpec, *, weak: bool) -> list[tuple[int, int]]:
    """No core files, no file over the limit; and, where no control group limits memory, each process's own memory.

    Not its address space (RLIMIT_AS): Node, Go and Java reserve many times of what they use.
    """
    limits = [(resource.RLIMIT_CORE, 0)]
    if spec.limits.file_bytes is not None:
        limits.append((resource.RLIMIT_FSIZE, spec.limits.file_bytes))
    if weak and spec.limits.memory_bytes is not None:
        limits.append((resource.RLIMIT_DATA, spec.limits.memory_bytes))
    return limits
