"""No process that a harness has started outlives the harness, however that ends."""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1


def end_with_us() -> None:
    """In a child, before it executes its program: the kernel asks it to end when the process that started it is gone.

    Source: prctl(2). It is for the thread that starts the child, so start children from one that stays.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
