"""The roles that people have; `turnout.core.access` has their rules."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """Each may what the ones before it may. ``viewer`` looks; ``operator`` starts, stops, tries again; ``approver``
    lets a stage go on that waits; ``admin`` also handles dead letters, tokens of others and the audit log."""

    VIEWER = 1
    OPERATOR = 2
    APPROVER = 3
    ADMIN = 4

    @property
    def word(self) -> str:
        return self.name.lower()
