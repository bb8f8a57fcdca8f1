"""A small process that forks keepers of tools, and does nothing else. Such a keeper keeps one tool after another.

What a fork costs is what the forked process has: from an interpreter that has imported next to nothing it costs a
quarter of what it costs from the agents' zygote. It has no environment, and lives as long as its standard input is open
and a keeper of its own does.

``python -I -S -c …``, see `start`. Asked for a keeper, it gets the word `REQUEST` with two descriptors: the socket that
the keeper listens to, and a pipe, into which ``pid PID`` is written, and when it has ended ``exit STATUS``. A keeper is
asked with the same word and four: the tool's socket (`sandbox_supervisor`), and its three streams.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys

from turnout.runtimes import sandbox_supervisor

TYPE_CHECKING = False  # importing typing would import re
if TYPE_CHECKING:
    from typing import NoReturn

REQUEST = b"keeper"
ASKED = 3  # the descriptor of the socket on which it is asked
LIBRARY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from turnout.runtimes.keeper_forker import main; main(int(sys.argv[2]))"
)


def start(asked: int, life: int) -> int:
    """Its process id. ``asked``: see `ASKED`; ``life``: what it has as its standard input. Raises: OSError."""
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-c", _PROGRAM, LIBRARY, str(ASKED)],
        {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        file_actions=[(os.POSIX_SPAWN_DUP2, life, 0), (os.POSIX_SPAWN_DUP2, asked, ASKED)],
        setsid=True,
    )


def main(asked: int) -> NoReturn:
    os.chdir("/")
    os.set_inheritable(asked, False)
    requests = socket.socket(fileno=asked)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    reports: dict[int, int] = {}
    watched = [0, asked, woken]
    gc.disable()
    gc.freeze()
    while 0 in watched or reports:
        ready = select.select(watched, [], [])[0]
        if woken in ready:
            os.read(woken, 1024)
        collect(reports)
        if 0 in ready:
            watched = [woken]
        elif asked in ready:
            serve(requests, reports)
    os._exit(0)


def collect(reports: dict[int, int]) -> None:
    """``reports``: process id of each keeper → the pipe for what is to be said of it."""
    while reports:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        report = reports.pop(pid)
        say(report, f"exit {os.waitstatus_to_exitcode(status)}\n")
        os.close(report)


def serve(asked: socket.socket, reports: dict[int, int]) -> None:
    piece, descriptors, _, _ = socket.recv_fds(asked, len(REQUEST), 2)
    if piece != REQUEST or len(descriptors) != 2:
        for each in descriptors:
            os.close(each)
        return
    requests, report = descriptors
    try:
        pid = os.fork()
    except OSError as error:
        print(f"no keeper can be forked: {error.strerror}", file=sys.stderr)
        os.close(report)
    else:
        if pid == 0:
            become_keeper(requests)
        reports[pid] = report
        say(report, f"pid {pid}\n")
    os.close(requests)


def say(report: int, line: str) -> None:
    try:
        os.write(report, line.encode())
    except OSError:
        pass  # nobody wants to know any more


def become_keeper(requests: int) -> NoReturn:
    """In the fork: keep that socket, nothing else of whoever we were."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.dup2(requests, ASKED, inheritable=False)
        for name in os.listdir("/proc/self/fd"):
            if int(name) > ASKED:
                with contextlib.suppress(OSError):  # the one that listed the others
                    os.close(int(name))
        keep(socket.socket(fileno=ASKED))
    finally:
        os._exit(1)


def keep(requests: socket.socket) -> None:
    """Until nobody can ask any more, or something of a tool is left that cannot be told from the next one's."""
    while True:
        piece, descriptors, _, _ = socket.recv_fds(requests, len(REQUEST), 4)
        if not piece:
            os._exit(0)
        control, *streams = descriptors
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        if not sandbox_supervisor.serve(control):
            os._exit(0)
