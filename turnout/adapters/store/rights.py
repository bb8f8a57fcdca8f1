"""Who may do what to which table, where each part has a role of the database for itself (docs/upgrades.md).

Everybody may look at all but what lets people in; a part changes what it is there to change. A right that a version
takes away is taken by the next one: parts of the version before go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from turnout.adapters.store.tables import METADATA
from turnout.core.errors import PermanentError

EVERYTHING = ("SELECT", "INSERT", "UPDATE", "DELETE")
LOOK, ADD, CHANGE, REMOVE = EVERYTHING
PEOPLE = frozenset({"api_tokens", "browser_sessions", "used_once", "audit_log"})
"""What lets people in, and what they did: seen by those alone who are named below."""

_DECIDED: Mapping[str, Sequence[str]] = {
    "inbox": (ADD,),
    "projects": (ADD, CHANGE),
    "runs": (ADD, CHANGE),
    "events": (ADD,),
    "attempts": (ADD, CHANGE),
    "outbox": (ADD, CHANGE),
    "deliveries": (ADD, CHANGE),
    "environments": (ADD, REMOVE),
    "environment_queue": (ADD, REMOVE),
    "deployed": (ADD, CHANGE),
    "attestations": (ADD,),
    "attested_images": (ADD,),
}
_LAUNCHED = {"launches": (ADD, CHANGE, REMOVE)}

WRITES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "webhook": {
        "deliveries": (ADD, CHANGE),
        "outbox": (ADD, CHANGE),
        "used_once": (LOOK, ADD, CHANGE),
        "audit_log": (ADD,),
    },
    "orchestrator": _DECIDED,
    "launcher": _LAUNCHED,
    "gateway": {},
    "reporter": {"reports": (ADD, CHANGE)},
    "sweeper": {
        **_DECIDED,
        **_LAUNCHED,
        "inbox": (ADD, REMOVE),
        "outbox": (ADD, CHANGE, REMOVE),
        "tallies": (ADD, CHANGE),
        "deploys": (ADD,),
        "last_account": (ADD, CHANGE),
        "missed_deliveries": (ADD, CHANGE, REMOVE),
        "hook_marks": (ADD, CHANGE),
    },
    "console": {
        "outbox": (ADD, CHANGE),
        "api_tokens": (LOOK, ADD, CHANGE, REMOVE),
        "browser_sessions": (LOOK, ADD, CHANGE, REMOVE),
        "used_once": (LOOK, ADD, CHANGE, REMOVE),
        "audit_log": (LOOK, ADD),
    },
}
"""Part to table to what it may do there, besides looking."""


def rights(part: str) -> dict[str, frozenset[str]]:
    """Table to what the part may do there; without a name: everything."""
    if not part:
        return {name: frozenset(EVERYTHING) for name in METADATA.tables}
    writes = WRITES[part]
    seen = {name: frozenset({LOOK}) for name in METADATA.tables if name not in PEOPLE}
    return seen | {name: frozenset(may) | seen.get(name, frozenset()) for name, may in writes.items()}


def read_role(given: str) -> tuple[str, str]:
    """``part=role``, or a role that may do everything: part (or empty) and role. Raises: PermanentError."""
    part, sign, role = given.partition("=")
    if not sign:
        return "", given
    if part not in WRITES:
        raise PermanentError(
            f"TURNOUT_DATABASE_ROLES: {part!r} is no part that uses the database",
            f"known are {', '.join(WRITES)}",
        )
    return part, role
