"""How things are said: durations, counts, outcomes, and text that others wrote. Pure."""

from __future__ import annotations

import re

from turnout.core.model import Outcome

ELLIPSIS = "…"
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_SPACES = re.compile(r"\s+")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""Control characters, halves of characters, and marks that turn the direction of what follows: with those a test's
name could make a line read as something else."""
MAX_ESCAPES = 1000
"""Characters that `first_line` looks at beyond what it keeps; a line may begin with many colour codes."""

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
    return _UNSEEN.sub("", _SPACES.sub(" ", _ESCAPES.sub("", text))).strip()


def first_line(text: str, limit: int = 200) -> str:
    """The first line that says something, cleaned, at most ``limit`` characters."""
    for line in text[:20_000].splitlines():
        if found := clean(line[: limit + MAX_ESCAPES]):
            return clip(found, limit)
    return ""


def clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + ELLIPSIS


def by_severity(counts: dict[str, int]) -> str:
    """``2 high, 10 low``, the worst first; severities that are not ours come last."""
    known = [each for each in SEVERITIES if counts.get(each)]
    other = sorted(each for each, number in counts.items() if number and each not in SEVERITIES)
    return ", ".join(f"{counts[each]:,} {each}" for each in (*known, *other))
