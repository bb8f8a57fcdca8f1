"""The sandbox that tools run in: which one works here, found out by trying.

``sandbox = detect()``; ``with start(["pytest"], SandboxSpec(workspace=path), sandbox) as tool: tool.wait(60)``.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from turnout.core.errors import PermanentError, TurnoutError
from turnout.runtimes.cgroups import Cgroup, Cgroups, Limits, discover
from turnout.runtimes.confinement import confinement
from turnout.runtimes.processes import Exit, Prepared, RunningTool, ToolNotStarted, start
from turnout.runtimes.sandbox_bubblewrap import OLDEST, Bubblewrap
from turnout.runtimes.sandbox_files import remove_tree
from turnout.runtimes.sandbox_host import look
from turnout.runtimes.sandbox_spec import (
    MINIMAL_PATH,
    InvalidSpec,
    Mount,
    Sandbox,
    SandboxMissing,
    SandboxSpec,
    Wrapped,
    checked_argv,
    is_program,
    rlimits,
    tool_env,
    working_directory,
)

__all__ = [
    "Bubblewrap",
    "Cgroup",
    "Cgroups",
    "Exit",
    "InvalidSpec",
    "Limits",
    "Mount",
    "NoSandbox",
    "Prepared",
    "RunningTool",
    "Sandbox",
    "SandboxMissing",
    "SandboxSpec",
    "ToolNotStarted",
    "Wrapped",
    "detect",
    "lives",
    "remove_tree",
    "start",
]

# A user id that no distribution hands out. Source: systemd's "Users, Groups, UIDs and GIDs on systemd systems".
DEFAULT_OWNER = 65520
INSTALL = "install bubblewrap (apt-get install bubblewrap, dnf install bubblewrap)"
INSTALL_NETWORK = "install slirp4netns (apt-get install slirp4netns, dnf install slirp4netns)"
PROBE_TIMEOUT = 20.0  # seconds

_found: dict[tuple[str, ...], Sandbox] = {}
_finding = threading.Lock()


@dataclass(frozen=True, slots=True)
class NoSandbox:
    """Nothing is held in, but the environment is scrubbed, limits hold where a control group can be made,
    and the tool is ended with everything it started. ``why``: why there is no sandbox, and what to do about it."""

    why: str
    cgroups: Cgroups | None
    no_cgroups: str = ""
    name: Literal["none"] = field(default="none", init=False)

    def describe(self) -> str:
        limits = (
            self.cgroups.describe() if self.cgroups else f"memory limited only per process: {self.no_cgroups}"
        )
        held = confinement()
        around = f"; all of it is held in by its container: {held}" if held else ""
        return f"no sandbox: {self.why}; tools run as this user, with its files and its network; {limits}{around}"

    def which(self, program: str, spec: SandboxSpec) -> str | None:
        if "/" in program:
            path = working_directory(spec)[1] / program
            return str(path) if is_program(path) else None
        return shutil.which(program, path=tool_env(spec, "", "")["PATH"])

    def wrap(self, argv: Sequence[str], spec: SandboxSpec) -> Wrapped:
        for mount in spec.mounts:
            if mount.at != mount.source:
                raise InvalidSpec(
                    f"{mount.source} cannot be shown as {mount.at}: there is no sandbox",
                    "mount it at its own path, or " + INSTALL,
                )
        private = Path(tempfile.gettempdir(), f"turnout-tool-{os.getpid()}-{secrets.token_hex(8)}")
        return Wrapped(
            argv=checked_argv(argv),
            env=tool_env(spec, str(private / "home"), str(private / "tmp")),
            cwd=working_directory(spec)[1],
            limits=spec.limits,
            private=private,
            rlimits=tuple(rlimits(spec, weak=self.cgroups is None)),
        )


def detect(require: bool = False, *, environ: Mapping[str, str] | None = None) -> Sandbox:
    """The best sandbox that works here; found out by starting a program in it, once a process.

    ``environ`` (the process's own by default): ``TURNOUT_SANDBOX`` is ``auto``, ``require`` or ``none``;
    ``TURNOUT_SANDBOX_UID``: who tools run as when we are root; ``TURNOUT_CGROUP``: see `cgroups.discover`;
    ``TURNOUT_SANDBOX_NETWORK``: what tools get that ask for the network: ``private``, one of their own; ``host``, this
    machine's; ``auto``, the first of them that works.
    Raises: SandboxMissing when one is required and none works; PermanentError for a setting that cannot be.
    """
    settings = os.environ if environ is None else environ
    choice = settings.get("TURNOUT_SANDBOX", "") or "auto"
    if choice not in ("auto", "require", "none"):
        raise PermanentError(f"TURNOUT_SANDBOX={choice} is not known", "use auto, require or none")
    owner = settings.get("TURNOUT_SANDBOX_UID", "") or str(DEFAULT_OWNER)
    if not owner.isdecimal() or int(owner) == 0:
        raise PermanentError(f"TURNOUT_SANDBOX_UID={owner} is not an unprivileged user's number")
    group = settings.get("TURNOUT_CGROUP", "")
    network = settings.get("TURNOUT_SANDBOX_NETWORK", "") or "auto"
    if network not in ("auto", "private", "host"):
        raise PermanentError(f"TURNOUT_SANDBOX_NETWORK={network} is not known", "use auto, private or host")
    with _finding:
        key = (choice, owner, group, network)
        if key not in _found:
            _found[key] = _find(choice, int(owner), group, network)
        sandbox = _found[key]
    private = isinstance(sandbox, Bubblewrap) and sandbox.network != ""
    if network == "private" and choice != "none" and not private:
        said = sandbox.describe()
        raise SandboxMissing(
            f"a network of the tools' own is required, and there is: {said}", INSTALL_NETWORK
        )
    if isinstance(sandbox, NoSandbox) and (require or choice == "require"):
        raise SandboxMissing(f"a sandbox is required, and {sandbox.why}", INSTALL)
    return sandbox


def _find(choice: str, owner: int, group: str, network: str) -> Sandbox:
    sweep_private(Path(tempfile.gettempdir()))
    cgroups, no_cgroups = discover(group)
    if cgroups is not None:
        cgroups.sweep()
        if problem := _try(NoSandbox("not needed for this", cgroups)):
            cgroups, no_cgroups = None, f"no process can be moved to a cgroup ({problem})"
    none = NoSandbox("it is switched off (TURNOUT_SANDBOX=none)", cgroups, no_cgroups)
    if choice == "none":
        return none
    bwrap = shutil.which("bwrap") or shutil.which("bwrap", path=MINIMAL_PATH)
    if bwrap is None:
        return replace(none, why=f"bubblewrap is not installed: {INSTALL}")
    version = _version(bwrap)
    if version < OLDEST:
        return replace(none, why=f"bubblewrap {'.'.join(map(str, version))} is too old: 0.5 is needed")
    sandbox = Bubblewrap(look(bwrap, version, owner), cgroups, no_cgroups)
    no_network = "TURNOUT_SANDBOX_NETWORK=host"
    if network != "host":
        slirp = shutil.which("slirp4netns") or shutil.which("slirp4netns", path=MINIMAL_PATH)
        if slirp is None:
            no_network = f"slirp4netns is not installed: {INSTALL_NETWORK}"
        elif no_network := _try(private := replace(sandbox, network=slirp), network=True):
            no_network = f"slirp4netns does not work here: {no_network}"
        else:
            return private
    if problem := _try(sandbox):
        return replace(none, why=f"bubblewrap does not work here: {problem}{_advice(problem)}")
    return replace(sandbox, no_network=no_network)


def sweep_private(folder: Path) -> None:
    """Remove the tools' private folders of processes that were killed while they made or removed them."""
    for left in folder.glob("turnout-tool-*-*"):
        pid = left.name.split("-")[2]
        try:
            if pid.isdecimal() and left.lstat().st_uid == os.geteuid() and not lives(int(pid)):
                remove_tree(left)
        except OSError:
            continue  # another process sweeps, too


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it does, as another user
    return True


def _version(bwrap: str) -> tuple[int, ...]:
    said = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=False).stdout
    return (
        tuple(int(part) for part in said.split()[-1].split(".") if part.isdecimal()) if said.split() else ()
    )


def _try(sandbox: Sandbox, *, network: bool = False) -> str:
    """What goes wrong when a program is really started in it; empty when nothing does."""
    with tempfile.TemporaryDirectory(prefix="turnout-probe-") as folder:
        limits = Limits(memory_bytes=1 << 28, cpus=1.0, pids=64)
        spec = SandboxSpec(Path(folder), network=network, limits=limits)
        said = b""
        try:
            with start(["true"], spec, sandbox, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as tool:
                try:
                    ended = tool.wait(PROBE_TIMEOUT, grace=0.0)
                finally:
                    said = tool.stderr.read() if tool.stderr else b""
        except TurnoutError as problem:
            return said.decode("utf-8", "replace").strip() or problem.message
    return "" if ended.code == 0 else f"a program started in it for a trial ended with {ended}"


def _advice(problem: str) -> str:
    """What usually is behind bubblewrap's words."""
    if "uid map" in problem or "namespace" in problem or "RTM_NEWADDR" in problem:
        return (
            " (this kernel or container refuses user namespaces: set kernel.unprivileged_userns_clone=1 or"
            " kernel.apparmor_restrict_unprivileged_userns=0, or give the container a seccomp profile that allows them)"
        )
    if "mount" in problem:
        return " (a container that hides parts of /proc forbids this: run it with unmasked /proc paths)"
    return ""
