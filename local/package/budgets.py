"""What each function may cost at its cold start. Who goes over imports something new: do it later, or not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """``loaded``: modules, of all there are, once the first request has been answered. ``size``: bytes of the zip.
    ``distributions``: of others."""

    loaded: int
    size: int
    distributions: int


BUDGETS: Mapping[str, Budget] = {
    "webhook": Budget(750, 1_000_000, 62),
    "orchestrator": Budget(800, 1_050_000, 62),
    "launcher": Budget(760, 1_050_000, 82),
    "reporter": Budget(590, 950_000, 60),
    "sweeper": Budget(860, 1_650_000, 94),
    "gateway": Budget(790, 950_000, 76),
    "console": Budget(890, 2_000_000, 79),
}
