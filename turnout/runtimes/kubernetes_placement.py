"""Where the kubernetes runtime's pods may run, and as what; and how an operator writes that down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

KEPT = 14 * 24 * 3600
"""Seconds after its end for which a Job is kept: longer than a task's record can come again."""
_TOLERATION = re.compile(
    r"(?P<key>[^=:,\s]+)(?P<equals>=(?P<value>[^=:,\s]*))?(:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute))?"
)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where pods may run, and as what. ``tolerations`` as the API has them. ``user`` and ``group`` are numbers.

    ``memory`` in bytes and ``cpus`` in cores are for tasks that ask for none, 0: no limit; ``disk`` in bytes, 0: none.
    ``keep`` in seconds.
    """

    service_account: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, str], ...] = ()
    pull_secrets: tuple[str, ...] = ()
    pull: str = ""
    priority_class: str = ""
    runtime_class: str = ""
    user: int = 10001
    group: int = 10001
    memory: int = 0
    cpus: float = 0.0
    disk: int = 0
    keep: int = KEPT


def read_selector(given: str) -> dict[str, str]:
    """``label=value``, separated by commas; all of them must fit a node. Raises: ValueError."""
    found = {}
    for each in _listed(given):
        key, equals, value = each.partition("=")
        if not key or not equals or "=" in value:
            raise ValueError(f"{each!r}: expected label=value")
        found[key] = value
    return found


def read_tolerations(given: str) -> tuple[dict[str, str], ...]:
    """``key=value:Effect``, separated by commas, as `kubectl taint` writes taints; without ``=value`` any value is
    tolerated, without an effect every one. Raises: ValueError."""
    found = []
    for each in _listed(given):
        match = _TOLERATION.fullmatch(each)
        if match is None:
            raise ValueError(f"{each!r}: expected key, key=value or key=value:NoSchedule")
        one = {"key": match["key"], "operator": "Equal" if match["equals"] else "Exists"}
        if match["value"]:
            one["value"] = match["value"]
        if match["effect"]:
            one["effect"] = match["effect"]
        found.append(one)
    return tuple(found)


def read_user(given: str) -> tuple[int, int]:
    """``user`` or ``user:group``, both numbers; the group is the user's where none is given."""
    user, _, group = given.partition(":")
    return int(user), int(group or user)


def read_names(given: str) -> tuple[str, ...]:
    return tuple(_listed(given))


def _listed(given: str) -> list[str]:
    return [each.strip() for each in given.split(",") if each.strip()]
