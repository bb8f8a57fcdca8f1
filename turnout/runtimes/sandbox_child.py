"""From a fork of the supervisor to the tool: everything between fork and exec.

Imports next to nothing, like the supervisor.
"""

from __future__ import annotations

import ctypes
import errno
import marshal
import os
import sys

from turnout.runtimes.sandbox_reap import SIGKILL

TYPE_CHECKING = False  # importing typing would import re
if TYPE_CHECKING:
    from typing import NoReturn, TypedDict

    class Plan(TypedDict):
        """What crosses the socket: `turnout.runtimes.sandbox_spec.Wrapped` in marshal's types."""

        argv: list[str]
        env: dict[str, str]
        cwd: str
        fenced: bool  # argv[0] is bubblewrap, which reports to STATUS_FD
        options: list[str]
        data: dict[int, bytes]
        staged: list[tuple[str, str]]
        shown: list[str]  # what else of this machine the launcher needs
        owner: int  # -1: stay who we are
        rlimits: list[tuple[int, int]]
        groups: list[str]  # folders of the control group, one a hierarchy
        merged: bool  # the tool's error output goes where its output goes
        network: str  # the program that gives it a network of its own; "" for none
        private: str  # a folder to be removed when nobody else will; "" for none


BLOCK_FD = 7  # bubblewrap waits for a byte here before it starts the tool (--block-fd)
OPTIONS_FD = 8  # bubblewrap reads its options here (--args)
STATUS_FD = 9  # … and writes its status here (--json-status-fd)
FIRST_DATA_FD = 10  # … and the contents of files from here on
SAFE_FD = 100  # the first descriptor that no plan uses

# Source: linux/prctl.h, linux/sched.h, sys/mount.h, asm-generic/signal.h
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWNS = 0x20000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
MNT_DETACH, UMOUNT_NOFOLLOW = 0x2, 0x8
SIG_SETMASK, REAL_TIME = 2, 32  # the first signal that is none of the classic ones

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int | bytes | ctypes.c_ulong | None) -> None:
    """A system call that Python's `os` lacks. Raises: OSError, which says which call it was."""
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def prctl(option: int, value: int) -> None:
    call("prctl", option, *(ctypes.c_ulong(v) for v in (value, 0, 0, 0)))


def become(groups: list[str], orders: int, report: int, status: int, block: int) -> NoReturn:
    """In the child: join the control group, wait for the plan, turn into the tool or into the sandbox's launcher.

    ``report`` closes on success.
    """
    try:
        join(groups)
        plan = plan_from(orders)
        if plan is None:
            os._exit(125)
        prepare(plan, status, block)
    except Exception as problem:
        os.write(report, f"{problem.__class__.__name__}: {problem}".encode("utf-8", "replace"))
        os._exit(125)
    try:
        os.execvpe(plan["argv"][0], plan["argv"], plan["env"])  # noqa: S606 - a shell would read its words
    except OSError as problem:
        if plan["fenced"]:
            os.write(report, f"{plan['argv'][0]}: {problem.strerror}".encode())
        missing = problem.errno in (errno.ENOENT, errno.ENOTDIR)
        os.write(2, f"{plan['argv'][0]}: {problem.strerror}\n".encode())
        os._exit(127 if missing else 126)


def join(groups: list[str]) -> None:
    """Milliseconds in which we only wait: the kernel lets all its processors agree first."""
    os.setsid()
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, SIGKILL)
    for folder in groups:
        with open(f"{folder}/cgroup.procs", "w") as file:
            file.write("0")
    prefer_to_kill()


def plan_from(orders: int) -> Plan | None:
    """None: whoever would have sent it has ended."""
    content = bytearray()
    while part := os.read(orders, 65536):
        content += part
    os.close(orders)
    plan: Plan | None = marshal.loads(content) if content else None  # noqa: S302 - from the process that forked us
    return plan


def prepare(plan: Plan, status: int, block: int) -> None:
    """Order matters: mount while we may; then become nobody; then no way back."""
    if plan["merged"]:
        os.dup2(1, 2)
    if plan["staged"]:
        stage(plan["staged"], plan["shown"])
    limit(plan["rlimits"])
    if (owner := plan["owner"]) >= 0:
        os.setgroups([])
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)
    if sys.platform == "linux":
        if not plan["fenced"]:  # bubblewrap does it for the tool, and may need its own set-user-id bit
            prctl(PR_SET_NO_NEW_PRIVS, 1)
        prctl(PR_SET_PDEATHSIG, SIGKILL)  # again: becoming another user took it away
    os.chdir(plan["cwd"])
    # Python ignores some, the zygote (our keeper may be a fork of it) others, whoever started Turnout perhaps more.
    for number in range(1, REAL_TIME):
        libc.signal(number, None)
    libc.sigprocmask(SIG_SETMASK, bytes(128), None)
    if plan["fenced"]:
        sources = {OPTIONS_FD: "\0".join(plan["options"]).encode() + b"\0", **plan["data"]}
        opened = {number: safe(memory_file(content)) for number, content in sources.items()}
        opened[STATUS_FD] = safe(status)
        if plan["network"]:
            opened[BLOCK_FD] = safe(block)
        for number, descriptor in opened.items():
            os.dup2(descriptor, number, inheritable=True)


def limit(rlimits: list[tuple[int, int]]) -> None:
    if not rlimits:
        return
    import resource

    for number, value in rlimits:
        hard = resource.getrlimit(number)[1]
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (wanted, wanted))


def prefer_to_kill() -> None:
    """When the whole machine runs out of memory, the tool goes before the services."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        pass  # no such file on this system: the kernel chooses by size alone


def stage(staged: list[tuple[str, str]], shown: list[str]) -> None:
    """Show folders that only root can reach under ``/tmp``, in a mount namespace of this process alone.

    They are opened before ``/tmp`` is covered, so that they may lie there themselves.
    """
    call("unshare", CLONE_NEWNS)
    call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    forget([*shown, *(source for source, _ in staged)])
    opened = [(os.open(source, os.O_PATH | os.O_CLOEXEC), target) for source, target in staged]
    call("mount", b"tmpfs", b"/tmp", b"tmpfs", MS_NOSUID | MS_NODEV, b"mode=0711")
    for descriptor, target in opened:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
        call("mount", f"/proc/self/fd/{descriptor}".encode(), target.encode(), None, MS_BIND | MS_REC, None)
        os.close(descriptor)


def forget(needed: list[str]) -> None:
    """Let go of the mounts that lead to nothing of this: bubblewrap reads them all for each one that it makes."""
    with open("/proc/self/mountinfo") as file:
        points = [line.split(" ", 5)[4] for line in file]
    inside = tuple(f"{each}/" for each in needed)
    above = {each[:end] for each in inside for end in range(len(each)) if each[end] == "/"}
    for point in points:
        if point == "/" or point in above or f"{point}/".startswith(inside):
            continue
        # One that cannot be let go of, or went with the one it was on, costs time alone.
        libc.umount2(os.fsencode(point), MNT_DETACH | UMOUNT_NOFOLLOW)


def memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("turnout")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def safe(descriptor: int) -> int:
    """The same file at a number that no plan uses, closed on exec."""
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, SAFE_FD)
