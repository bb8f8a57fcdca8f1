"""What does not count: accepted findings, until their day is over, and those without a fix where only these count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from agents.security.options import Accepted
from turnout.core.result import Finding

NO_FIX = "there is no fixed version"


@dataclass(frozen=True, slots=True)
class Sorted:
    """``ignored``: each with its reason. ``remarks``: entries that have expired, and those that match nothing."""

    counted: tuple[Finding, ...]
    ignored: tuple[tuple[Finding, str], ...]
    remarks: tuple[str, ...]


def sort_out(
    findings: Sequence[Finding], accepted: Sequence[Accepted], today: date, *, only_fixable: bool = False
) -> Sorted:
    """Pure. An entry holds through its last day; of several that match, one that still holds is enough."""
    counted: list[Finding] = []
    ignored: list[tuple[Finding, str]] = []
    used: dict[int, int] = {}
    by_id: dict[str, list[tuple[int, Accepted]]] = {}
    for number, entry in enumerate(accepted):
        by_id.setdefault(entry.id.upper(), []).append((number, entry))
    for each in findings:
        matching = [pair for pair in by_id.get(each.rule.upper(), ()) if _matches(pair[1], each)]
        for number, _ in matching:
            used[number] = used.get(number, 0) + 1
        holding = next((entry for _, entry in matching if today <= entry.until), None)
        if holding is not None:
            ignored.append((each, f"{holding.reason} (until {holding.until.isoformat()})"))
        elif only_fixable and each.kind == "vulnerability" and not each.fixed:
            ignored.append((each, NO_FIX))
        else:
            counted.append(each)
    remarks = []
    for number, entry in enumerate(accepted):
        place = f"with.ignore[{number}]: {entry}"
        if number not in used:
            remarks.append(f"{place} matches nothing: remove it")
        elif entry.until < today:
            remarks.append(f"{place} has expired: what it ignored counts again")
    return Sorted(tuple(counted), tuple(ignored), tuple(remarks))


def _matches(entry: Accepted, each: Finding) -> bool:
    return entry.package in ("", each.package) and entry.path in ("", each.path)
