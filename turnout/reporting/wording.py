"""How things are said: durations, counts, outcomes, and text that others wrote. Pure."""

from __future__ import annotations

import re
import unicodedata

from turnout.core.model import Outcome

ELLIPSIS = "…"
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of what follows: a test's name could make a line read as something else."""

SEVERITIES = ("critical", "high", "medium", "low", "note")

OUTCOMES: dict[Outcome, str] = {
    Outcome.SUCCESS: "succeeded",
    Outcome.FAILURE: "failed",
    Outcome.ERROR: "ended in an error",
    Outcome.CANCELLED: "was cancelled",
    Outcome.TIMED_OUT: "timed out",
    Outcome.SKIPPED: "was skipped",
}


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def counted(number: int, noun: str) -> str:
    """``1 test``, ``12 tests``."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def more(number: int) -> str:
    return f"and {number:,} more"


def clean(text: str) -> str:
    """Without what a terminal or a reader would obey: colour codes, control characters, turned directions."""
    kept = (
        " " if each in "\t\n\r\x0b\x0c\x85\u2028\u2029" else each
        for each in _ESCAPES.sub("", text)
        if each.isspace() or (unicodedata.category(each) not in ("Cc", "Cs") and each not in _DIRECTIONS)
    )
    return re.sub(r" {2,}", " ", "".join(kept)).strip()


def first_line(text: str, limit: int = 200) -> str:
    """The first line that says something, cleaned, at most ``limit`` characters."""
    for line in text[:20_000].splitlines():
        if found := clean(line):
            return clip(found, limit)
    return ""


def clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + ELLIPSIS


def by_severity(counts: dict[str, int]) -> str:
    """``2 high, 10 low``, the worst first; severities that are not ours come last."""
    known = [each for each in SEVERITIES if counts.get(each)]
    other = sorted(each for each, number in counts.items() if number and each not in SEVERITIES)
    return ", ".join(f"{counts[each]:,} {each}" for each in (*known, *other))
