"""Whether what agents say could be heard of late: an agent that nobody could hear is not silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from turnout.core.errors import TransientError
from turnout.core.ports import Clock
from turnout.logging import get_logger

log = get_logger()


@dataclass
class Hearing:
    """``ask``: asks the bus for anything; it raises TransientError where the bus is away.

    After an outage agents get ``settle`` to be heard again: what they said meanwhile waits to be handled, or is lost,
    and their next heartbeat takes its time.
    """

    ask: Callable[[], object]
    clock: Clock
    settle: timedelta
    _deaf_at: datetime | None = field(default=None, init=False)

    def good(self) -> bool:
        """Raises nothing: a bus that is away is one that nobody is heard through."""
        try:
            self.ask()
        except TransientError as error:
            self.lost(str(error))
        return self._deaf_at is None or self.clock.now() - self._deaf_at >= self.settle

    def lost(self, reason: str) -> None:
        """Nobody can be heard now."""
        log.info("nobody is taken for silent now", reason=reason)
        self._deaf_at = self.clock.now()
