"""What a person may call a run by: ``latest``, a number (``12``, ``#12``, ``owner/name#12``), how its id begins."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_FOUND = 10
_NUMBERED = re.compile(r"(?:(?P<project>.*)#)?(?P<number>[0-9]{1,7})")
_BEGINNING = re.compile(r"[0-9a-z_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """``number`` 0: not by number; ``project`` empty: of any. ``beginning`` empty: not by id."""

    latest: bool = False
    number: int = 0
    project: str = ""
    beginning: str = ""


def wanted(given: str) -> Wanted | None:
    """None for what no run can be called by."""
    if given == "latest":
        return Wanted(latest=True)
    if match := _NUMBERED.fullmatch(given):
        return Wanted(number=int(match["number"]), project=match["project"] or "")
    beginning = given.lower()
    return Wanted(beginning=beginning) if _BEGINNING.fullmatch(beginning) else None
