"""What each function may cost at its cold start. Who goes over imports something new: do it later, or not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """``loaded``: modules, of all there are, once the first request has been answered. ``size``: bytes of the zip.
    ``distributions``: of others. ``processor``: its time to the first answer, of a function's that says hello.
    """

    loaded: int
    size: int
    distributions: int
    processor: float


BUDGETS: Mapping[str, Budget] = {
    "webhook": Budget(715, 915_000, 60, 3.6),
    "orchestrator": Budget(770, 960_000, 59, 3.9),
    "launcher": Budget(730, 940_000, 78, 3.6),
    "reporter": Budget(555, 835_000, 55, 2.7),
    "sweeper": Budget(830, 1_530_000, 92, 4.4),
    "gateway": Budget(765, 885_000, 73, 3.9),
    "console": Budget(860, 1_860_000, 77, 4.3),
}
