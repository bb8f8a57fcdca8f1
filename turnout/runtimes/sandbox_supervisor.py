"""The keeper of one tool: a small process of its own between us and the tool.

It starts the tool in its control group, its session and its sandbox; it ends the tool with everything the
tool has left behind when the tool's first process ends, when it is told to, and when whoever started it is
gone (the other end of its socket closes, also after SIGKILL). A thread that starts a tool may end: the
tool is tied to this process, never to a thread of ours.

Started as ``python -I -S -c …`` with an empty environment, so nothing from a pipeline is ever in the
environment of a program that runs outside the sandbox (``LD_PRELOAD`` would be code); or as a fork, which may keep
one tool after another, see `keepers`.
It imports next to nothing, and reads its plan with `marshal` (both ends are one interpreter): importing
json or signal would cost as long as starting the sandbox.

Socket, one for each tool, towards us: the control group's folders, the plan, then lines ``terminate SECONDS``. From us:
``started PID``, then one of ``exit CODE``, ``signal NUMBER``, ``failed REASON``, and before it ``left PID …`` if
something could not be killed; last ``again``, where we could keep another one.
"""

from __future__ import annotations

import marshal
import os
import select
import sys
import time

from turnout.runtimes.sandbox_child import become, prctl, safe
from turnout.runtimes.sandbox_reap import (
    SIGKILL,
    SIGTERM,
    kill_below,
    kill_group,
    remove_group,
    send,
)

TYPE_CHECKING = False  # importing typing would import re
if TYPE_CHECKING:
    from typing import NoReturn

    from turnout.runtimes.sandbox_child import Plan

LENGTH = 4  # bytes of the plan's length, big endian
KILL_WITHIN = 10.0  # seconds until a process that survives SIGKILL is given up and named
KILL_EVERY = 1.0  # seconds
LOOK_EVERY = 1000 if sys.platform == "linux" else 20  # milliseconds between looks for what has ended

LINUX = sys.platform == "linux"
PR_SET_CHILD_SUBREAPER = 36  # Source: linux/prctl.h

collected: dict[int, int] = {}  # wait statuses, where collecting and looking are one


def main(control: int) -> NoReturn:
    """For one tool. ``control``: our end of the socket; the tool's streams are ours."""
    serve(control)
    os._exit(0)  # tearing an interpreter down takes milliseconds, and there is nothing to save


def serve(control: int) -> bool:
    """Keep a tool; whether we can keep another. Our streams are its streams, and nothing afterwards."""
    os.set_inheritable(control, False)
    again = False
    try:
        groups: list[str] = marshal.loads(receive_piece(control))  # noqa: S302 - from whoever started us
        again = supervise(control, groups)
    except EOFError:
        again = True  # nobody wants a tool any more, and there is none yet
        quiet()
    except Exception as problem:  # the last line of defence: the other side waits for an answer
        tell(control, f"failed {type(problem).__name__}: {problem}")
    if again:
        tell(control, "again")
    os.close(control)  # that was our last word; to end takes a millisecond more
    return again


def receive_piece(control: int) -> bytes:
    return receive(control, int.from_bytes(receive(control, LENGTH), "big"))


def receive(control: int, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = os.read(control, length - len(parts))
        if not part:
            raise EOFError("nobody waits for this tool any more")
        parts += part
    return bytes(parts)


def tell(control: int, line: str) -> None:
    try:
        os.write(control, line.replace("\n", " ").encode("utf-8", "replace") + b"\n")
    except OSError:
        pass  # whoever started us is gone; that is handled where it is noticed


def supervise(control: int, groups: list[str]) -> bool:
    """The child joins its control group at once: that takes milliseconds, in which the plan is made.

    Whether nothing of it is left at all.
    """
    if LINUX:
        prctl(PR_SET_CHILD_SUBREAPER, 1)  # what the tool lets go of becomes our child, not the machine's
    status_read, status_write = os.pipe()
    block_read, block_write = os.pipe()
    pid, orders, answers = spawn(groups, status_write, block_read)
    os.close(status_write)
    os.close(block_read)
    try:
        piece = receive_piece(control)
    except EOFError:
        for each in (orders, answers, status_read, block_write):
            os.close(each)
        os.waitpid(pid, 0)
        remove_group(groups, time.monotonic() + 1.0)
        raise
    plan: Plan = marshal.loads(piece)  # noqa: S302 - from whoever started us
    problem = hand_on(piece, orders, answers)
    if not plan["network"]:
        os.close(block_write)
    if not plan["fenced"]:
        os.close(status_read)
        status_read = -1
    if problem:
        os.waitpid(pid, 0)
        tell(control, f"failed {problem}")
        return False
    quiet()
    tell(control, f"started {pid}")
    report = b""
    if plan["network"]:
        report, problem = open_network(plan, pid, status_read, block_write)
    alone, ended, report = watch(control, pid, status_read, plan, report)
    if status_read >= 0:
        os.close(status_read)
    left = clean_up(plan, alone)
    if left:
        tell(control, "left " + " ".join(map(str, sorted(left))))
    if problem:
        tell(control, f"failed {problem}")
    elif ended is None:
        tell(control, f"failed process {pid} cannot be killed: it waits for a disk or a device")
    else:
        tell(control, outcome(ended, report, fenced=plan["fenced"]))
    return not (left or problem or ended is None or alone)


def outcome(ended: int, report: bytes, *, fenced: bool) -> str:
    """How the tool ended, from the wait status of the process we started.

    bubblewrap reports a tool's signal as 128 + number, as shells do, and cannot say more. HUP, INT and QUIT come
    from terminals, which a tool has none of, while 129 … 131 are exit codes in use (git's is 129).
    It reports no exit code at all when it could not set up the sandbox.
    """
    code = os.waitstatus_to_exitcode(ended)
    if fenced and code >= 0:
        if b'"exit-code"' not in report:
            return "failed bubblewrap could not set up the sandbox; its reason is in the tool's error output"
        if 131 < code <= 128 + 31:
            code = 128 - code
    return f"signal {-code}" if code < 0 else f"exit {code}"


def spawn(groups: list[str], status_write: int, block_read: int) -> tuple[int, int, int]:
    """The child, which waits for its plan: its process id, where the plan goes, where it says what went wrong."""
    orders_read, orders = os.pipe()
    answers, answers_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(orders)
        os.close(answers)
        become(groups, orders_read, safe(answers_write), status_write, block_read)
    os.close(orders_read)
    os.close(answers_write)
    return pid, orders, answers


def hand_on(piece: bytes, orders: int, answers: int) -> str:
    """Give the child its plan; why it could not be started ("" when it was)."""
    problem = b""
    try:
        while piece:
            piece = piece[os.write(orders, piece) :]
    except BrokenPipeError:
        pass  # it has failed before it had the plan, and says so
    os.close(orders)
    while part := os.read(answers, 4096):
        problem += part
    os.close(answers)
    return problem.decode("utf-8", "replace")


def open_network(plan: Plan, pid: int, status: int, block: int) -> tuple[bytes, str]:
    """Give the tool its network, then let it start; bubblewrap's report so far, and why there is none ("")."""
    from turnout.runtimes.sandbox_network import connect

    report = b""
    while b'"child-pid"' not in report or b"}" not in report:
        part = os.read(status, 4096)
        if not part:
            break  # it has failed already
        report += part
    problem = connect(plan["network"], child, plan["groups"]) if (child := child_in(report)) else ""
    if problem:
        end_hard(pid, plan)
    else:
        try:
            os.write(block, b".")
        except BrokenPipeError:
            pass  # it has ended; that is told by how
    os.close(block)
    return report, problem


def child_in(report: bytes) -> int:
    """The first process of the sandbox, by bubblewrap's report; 0 where it has not told."""
    _, found, rest = report.partition(b'"child-pid":')
    return int(rest.split(b",")[0].split(b"}")[0]) if found else 0


def quiet() -> None:
    """Let go of the tool's streams: whoever reads them waits until the last writer closes."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    os.chdir("/")


def watch(
    control: int, pid: int, status: int, plan: Plan, report: bytes = b""
) -> tuple[bool, int | None, bytes]:
    """Wait for the child to end, and carry out orders; whether nobody waits for us, the wait status (None when it
    cannot be killed), bubblewrap's report."""
    ready = select.poll()
    ready.register(control, select.POLLIN)
    if status >= 0:
        ready.register(status, select.POLLIN)
    if LINUX:
        handle = os.pidfd_open(pid)
        ready.register(handle, select.POLLIN)
    alone, orders = False, b""
    deadline = give_up = float("inf")
    while not has_ended(pid):
        left = max(0.0, deadline - time.monotonic())
        for descriptor, _ in ready.poll(min(LOOK_EVERY, left * 1000 + 1)):
            if descriptor == status:
                part = os.read(status, 4096)
                report += part
                if not part:
                    ready.unregister(status)
            elif descriptor == control:
                part = orders_from(control)
                if not part:
                    alone, deadline = True, 0.0
                    ready.unregister(control)
                *lines, orders = (orders + part).split(b"\n")
                for line in lines:
                    deadline = min(deadline, time.monotonic() + float(line.split()[1]))
                    end_softly(pid, report, fenced=plan["fenced"])
        if time.monotonic() >= deadline:
            if time.monotonic() >= give_up:
                return alone, None, report
            end_hard(pid, plan)
            give_up = min(give_up, time.monotonic() + KILL_WITHIN)
            deadline = time.monotonic() + KILL_EVERY
    if LINUX:
        os.close(handle)
    send(-pid, SIGKILL)  # the rest of its group, while the number cannot be anybody else's
    ended = os.waitpid(pid, 0)[1] if LINUX else collected.pop(pid)
    while status >= 0 and (part := os.read(status, 4096)):
        report += part
    return alone, ended, report


def orders_from(control: int) -> bytes:
    try:
        return os.read(control, 4096)
    except ConnectionError:
        return b""


def has_ended(pid: int) -> bool:
    """Whether the child has ended; it is left to be collected. Orphans that ended are collected by the way."""
    if not LINUX:  # macOS: no waitid, and no orphans of ours
        reaped, status = os.waitpid(pid, os.WNOHANG)
        if reaped:
            collected[pid] = status
        return reaped != 0
    while seen := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if seen.si_pid == pid:
            return True
        os.waitpid(seen.si_pid, 0)
    return False


def end_softly(pid: int, report: bytes, *, fenced: bool) -> None:
    """SIGTERM to the tool's process group. In the sandbox that is the group of its first process, whose id
    bubblewrap reports; before it has, no tool has started yet."""
    group = pid
    if fenced:
        group = child_in(report)
        if not group:
            return
    send(-group, SIGTERM)


def end_hard(pid: int, plan: Plan) -> None:
    """SIGKILL to the tool's group; bubblewrap takes its process namespace with it."""
    send(-pid, SIGKILL)
    if plan["groups"]:
        kill_group(plan["groups"], time.monotonic())


def clean_up(plan: Plan, alone: bool) -> set[int]:
    """End what the tool has left behind; the process ids of what could not be ended.

    bubblewrap's first process becomes our child when its parent has ended, and can be collected only when its
    whole namespace is gone: then nothing of the tool runs any more.
    """
    deadline = time.monotonic() + KILL_WITHIN
    left = kill_group(plan["groups"], deadline)
    if LINUX:
        left |= kill_below(deadline)
    if alone:
        remove_group(plan["groups"], time.monotonic() + KILL_WITHIN)
        if plan["private"]:
            from turnout.runtimes.sandbox_files import remove_tree

            remove_tree(plan["private"])
    return left
