"""How a platform's own words of a job are told, in one line."""

from __future__ import annotations

import signal

LONGEST = 300


def signal_name(number: int) -> str:
    """``SIGKILL``; empty: there is no such signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def one_line(text: str) -> str:
    return " ".join(text.split())[:LONGEST]
