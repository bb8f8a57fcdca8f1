"""What goes wrong, where and when: decided by the seed, named, and possible to leave out one by one.

Every I/O point of every process asks `Faults.strike`. Each opportunity has a name (process and number), so that a
failing world can be played again with some of its faults left out, and the smallest set that still fails be told as a
story.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cache

from tests.simulation.kernel import Process


class Fault(Enum):
    """What can happen at one I/O point."""

    CRASH_BEFORE = "dies before it can {what}"
    CRASH_AFTER = "dies right after it did {what}"
    REFUSED = "can't {what}: no answer, and nothing was done"
    UNKNOWN = "did {what}, but never hears that it was done"
    SLOW = "waits long before it can {what}"
    TWICE = "did {what} twice"
    HALF = "did half of {what}, and hears of an error"


C = Fault
READ = (C.CRASH_BEFORE, C.REFUSED, C.SLOW)
WRITE = (C.CRASH_BEFORE, C.CRASH_AFTER, C.REFUSED, C.UNKNOWN, C.SLOW)
PUBLISH = (*WRITE, C.TWICE, C.HALF)
LOCAL = (C.CRASH_BEFORE, C.CRASH_AFTER)
"""Of one machine: its disk neither answers late nor not at all."""
SAY = (C.REFUSED, C.SLOW)
POST = (*WRITE, C.TWICE)


@dataclass(frozen=True, slots=True)
class Window:
    """Something that lasts: ``what`` happens to ``whom`` from ``start`` to ``end``, seconds of true time.

    ``target``: the other side, where there is one.
    """

    id: str
    what: str
    whom: str
    start: float
    end: float
    target: str = ""

    def __str__(self) -> str:
        other = f" and {self.target}" if self.target else ""
        return (
            f"{self.what} of {self.whom}{other} until {self.end:.1f} s"
            if self.end > self.start
            else f"{self.what} of {self.whom}"
        )


@dataclass
class Faults:
    """``rates``: probability of each fault at one opportunity. ``calm``: the time after which nothing strikes any more.

    ``only``: the names of the strikes that may happen; None: all. ``immortal``: processes that are no process of ours.
    """

    rates: dict[Fault, float]
    calm: float
    only: frozenset[str] | None = None
    immortal: frozenset[str] = frozenset()
    struck: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    cuts: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tables = cache(self._table)

    def strike(self, process: Process, kinds: tuple[Fault, ...]) -> Fault | None:
        """What happens at this opportunity."""
        draw = process.luck.random()
        number = self.counts[process.name] = self.counts.get(process.name, 0) + 1
        if process.kernel.now >= self.calm:
            return None
        total, table = self._tables(kinds)
        if draw >= total:
            return None
        name = f"{process.name}#{number}"
        if self.only is not None and name not in self.only:
            return None
        found = next(kind for limit, kind in table if draw < limit)
        if process.name in self.immortal and found in LOCAL:
            return None
        self.struck.append(name)
        return found

    def planned(self, name: str, now: float) -> bool:
        """Whether something that has been drawn happens, which is no fault of an I/O point."""
        if now >= self.calm or not self.rates or (self.only is not None and name not in self.only):
            return False
        self.struck.append(name)
        return True

    def _table(self, kinds: tuple[Fault, ...]) -> tuple[float, list[tuple[float, Fault]]]:
        total, table = 0.0, []
        for kind in kinds:
            total += self.rates.get(kind, 0.0)
            table.append((total, kind))
        return total, table

    def cut(self, process: str, target: str, now: float) -> bool:
        """Whether the two can't reach each other."""
        cuts = self.cuts
        if not cuts:
            return False
        return any(cuts.get(pair, 0.0) > now for pair in ((process, target), ("*", target)))
