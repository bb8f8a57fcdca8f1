"""Patterns for branches, tags and paths.

``*`` and ``?`` and ``[abc]`` stay within one segment (they never match ``/``); ``**``, alone between slashes,
stands for any number of segments: ``docs/**`` is all that lies below ``docs``, ``**`` is everything.
A pattern that begins with ``!`` takes away what the others match.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

MAX_PATTERN = 250
MAX_STEPS = 500_000
"""Of one question, over all its patterns and names: about a quarter of a second. Without it, a repository could choose
patterns and paths that take hours to compare."""


class TooManySteps(Exception):
    """Comparing was given up: whether there is a match is not known."""


@dataclass(slots=True)
class _Steps:
    left: int = MAX_STEPS

    def take(self, count: int) -> None:
        """Raises: TooManySteps."""
        self.left -= count
        if self.left < 0:
            raise TooManySteps


def check_pattern(pattern: str) -> str:
    """The pattern itself. Raises: ValueError saying what is wrong with it and what would be right."""
    body = pattern.removeprefix("!")
    if not body:
        raise ValueError("a pattern cannot be empty")
    if len(body) > MAX_PATTERN:
        raise ValueError(f"a pattern has at most {MAX_PATTERN} characters")
    if body.startswith(("/", "./")):
        raise ValueError(f"patterns have no leading slash; write `{body.lstrip('./') or '**'}`")
    if body.endswith("/"):
        raise ValueError(f"a trailing slash matches nothing; write `{body}**`")
    for segment in body.split("/"):
        if not segment:
            raise ValueError("two slashes in a row match nothing")
        if "**" in segment and segment != "**":
            raise ValueError("`**` must stand alone between slashes, like `src/**` or `**/*.py`")
        if "[" in segment and not _closed(segment):
            raise ValueError("a `[` without its `]`; write `[[]` for the bracket itself")
    return pattern


def match(pattern: str, name: str) -> bool:
    """Whether ``name`` matches, by a walk whose cost is at most the product of both lengths. Raises: TooManySteps."""
    return _match(pattern, name, _Steps())


def _match(pattern: str, name: str, steps: _Steps) -> bool:
    wanted, found = pattern.split("/"), name.split("/")
    p = n = 0
    star = resume = -1
    while n < len(found):
        steps.take(1 + len(found[n]) // 64)
        if p < len(wanted) and wanted[p] == "**":
            star, resume = p, n
            p += 1
            if p == len(wanted):
                return True
        elif p < len(wanted) and _segment(wanted[p]).match(found[n]):
            p, n = p + 1, n + 1
        elif star >= 0:
            resume += 1
            p, n = star + 1, resume
        else:
            return False
    return p == len(wanted)


def match_any(patterns: Sequence[str], name: str) -> bool:
    """Whether one of them matches and no ``!pattern`` does; with only ``!patterns``, whether none of these does.

    False where that takes more than `MAX_STEPS` to tell.
    """
    try:
        return _match_any(patterns, name, _Steps())
    except TooManySteps:
        return False


def _match_any(patterns: Sequence[str], name: str, steps: _Steps) -> bool:
    positive = [each for each in patterns if not each.startswith("!")]
    if any(_match(each[1:], name, steps) for each in patterns if each.startswith("!")):
        return False
    return not positive or any(_match(each, name, steps) for each in positive)


def first_match(patterns: Sequence[str], names: Iterable[str]) -> str | None:
    """The first of ``names`` that is one of what ``patterns`` mean, as for `match_any`. Raises: TooManySteps."""
    steps = _Steps()
    return next((name for name in names if _match_any(patterns, name, steps)), None)


@lru_cache(maxsize=2048)
def _segment(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _closed(segment: str) -> bool:
    """Whether every character class in the segment ends in it."""
    at = segment.find("[")
    while at >= 0:
        start = at + 1 + segment.startswith("!", at + 1)
        end = segment.find("]", start + 1)
        if end < 0:
            return False
        at = segment.find("[", end)
    return True
