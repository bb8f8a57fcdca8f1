"""The use case of figures: count what has ended, and say what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as hour

from turnout.core.facts import facts_of
from turnout.core.figures import ProjectFigures, figures_of
from turnout.core.ports import Clock
from turnout.core.ports.figures import Figures
from turnout.core.tally import day_of

WINDOW = timedelta(days=30)
LONGEST = timedelta(days=366)
"""Days that figures are told of at once."""
BATCH = 50


@dataclass(frozen=True)
class Figuring:
    """Safe to call from several processes at once: a run is counted once."""

    figures: Figures
    clock: Clock

    def catch_up(self, most: int = 500) -> int:
        """Count runs that have ended, this many at most; how many were counted. Raises: TransientError."""
        done = 0
        for _ in range(0, most, BATCH):
            runs = self.figures.uncounted(BATCH)
            done += self.figures.count([facts_of(run) for run in runs], self.clock.now())
            if len(runs) < BATCH:
                break
        return done

    def project(self, name: str, since: date | None = None) -> ProjectFigures:
        """``since``: the first day (UTC), by default 30 days with today, at most `LONGEST`. Raises: TransientError."""
        today = day_of(self.clock.now())
        wanted = since or today - WINDOW + timedelta(days=1)
        first = max(min(wanted, today), today - LONGEST + timedelta(days=1))
        begin = datetime.combine(first, hour.min, self.clock.now().tzinfo)
        return figures_of(
            name, first, today, self.figures.days(name, first), self.figures.deploys(name, begin)
        )
