"""What strikes, when and for how long: a seed's schedule, the same each time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Kind(StrEnum):
    """``CUT``: every connection is reset at once. ``BLACKHOLE``: nothing passes, and then they are reset. ``STALL``:
    nothing passes, and then all of it. ``SLOW``: every piece comes late. ``HALF_CLOSE``: one side hears that the other
    has ended, and may still speak."""

    KILL = "SIGKILL"
    FREEZE = "SIGSTOP"
    RESTART = "kill and restart"
    FULL = "full disk"
    CUT = "reset"
    BLACKHOLE = "blackhole"
    STALL = "stall"
    SLOW = "latency"
    HALF_CLOSE = "half-close"


PROCESSES = ("webhook", "orchestrator", "reporter", "sweeper", "dispatcher", "agent-script", "supervisor")
LAUNCHED = ("gateway", "launcher", "jobs", "supervisor")
"""Where every attempt is a job of its own, whose only door is the gateway; ``jobs``: those that run at that moment."""
SERVERS = ("kafka", "postgresql")
NETWORK = (Kind.CUT, Kind.BLACKHOLE, Kind.STALL, Kind.SLOW, Kind.HALF_CLOSE)
LASTS: dict[Kind, tuple[float, float]] = {
    Kind.KILL: (0.0, 0.0),
    Kind.FREEZE: (2.0, 9.0),
    Kind.RESTART: (0.5, 4.0),
    Kind.FULL: (3.0, 8.0),
    Kind.CUT: (0.0, 0.0),
    Kind.BLACKHOLE: (2.0, 7.0),
    Kind.STALL: (2.0, 7.0),
    Kind.SLOW: (2.0, 5.0),
    Kind.HALF_CLOSE: (0.0, 0.0),
}
"""Seconds, from and to."""
AT_ONCE = 0.4
"""The share of deliveries that come in one burst; the others come with the strikes, so that each of them meets some."""
TOGETHER = 0.3
"""The share of strikes that come together with the one before, so that one fault meets another."""


@dataclass(frozen=True, slots=True)
class Strike:
    """``together``: with the one before it, not when that one is over and work goes on again. ``pause``: seconds that
    it waits then. ``lasts``: seconds. ``whole``: the process with all that it started, not the process alone."""

    number: int
    kind: Kind
    target: str
    together: bool
    pause: float
    lasts: float
    whole: bool

    @property
    def name(self) -> str:
        return f"{self.target} {self.kind}"


Choice = tuple[Kind, str]


def choices(kinds: Sequence[Kind] = tuple(Kind), processes: Sequence[str] = PROCESSES) -> tuple[Choice, ...]:
    """Every kind on every target that it can strike."""
    found: list[Choice] = []
    for kind in kinds:
        match kind:
            case Kind.KILL | Kind.FREEZE:
                found += [(kind, each) for each in processes if (kind, each) != (Kind.FREEZE, "supervisor")]
            case Kind.FULL:
                found.append((kind, "disk"))
            case _:
                found += [(kind, each) for each in SERVERS]
    return tuple(found)


def schedule(seed: int, strikes: int, possible: Sequence[Choice] | None = None) -> tuple[Strike, ...]:
    """Each of ``possible`` once, in an order of the seed's, before any comes again."""
    random = Random(seed)
    pool = list(possible if possible is not None else choices())
    order: list[Choice] = []
    while pool and len(order) < strikes:
        random.shuffle(pool)
        order += pool
    found: list[Strike] = []
    for number, (kind, target) in enumerate(order[:strikes], 1):
        together = number > 1 and random.random() < TOGETHER
        pause = random.uniform(0.0, 0.5) if together else random.uniform(0.2, 2.0)
        lasts, whole = random.uniform(*LASTS[kind]), random.random() < 0.5
        found.append(Strike(number, kind, target, together, round(pause, 2), round(lasts, 1), whole))
    return tuple(found)


def batches(count: int, strikes: int, at_once: float = AT_ONCE) -> list[int]:
    """How many of ``count`` deliveries come at once at the beginning, and how many with each strike."""
    if not strikes:
        return [count]
    first = round(count * at_once)
    rest = count - first
    return [first, *(rest * (n + 1) // strikes - rest * n // strikes for n in range(strikes))]
