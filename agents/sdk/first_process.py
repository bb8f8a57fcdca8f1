"""The first process of a container: it collects what nobody waits for, and hands on the order to end.

An init program in its place would show the attempt's pass to every tool: its environment stays readable to all
processes of its user, where ours has been overwritten (`remote_pass`).
"""

from __future__ import annotations

import os
import signal
from types import FrameType

FIRST = 1
_HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def stand_before() -> None:
    """In the first process of a container: go on in a child, and end as it does. Anywhere else nothing happens."""
    if os.getpid() == FIRST:
        part()


def part() -> None:
    """Return in a child only; this process ends with it, by its status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDED_ON)  # none may come before it is handed on
    child = os.fork()
    if child:

        def hand_on(number: int, _frame: FrameType | None) -> None:
            os.kill(child, number)

        for each in _HANDED_ON:
            signal.signal(each, hand_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDED_ON)
    while child:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
