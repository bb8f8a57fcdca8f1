"""How much somebody may do in a time: a bucket that fills at a steady rate. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """``left`` of something (requests, bytes) at the instant ``at``; it grows by ``rate`` a second, up to ``burst``.

    ``at``: seconds of any clock that only goes forward.
    """

    rate: float
    burst: float
    left: float
    at: float

    @classmethod
    def full(cls, rate: float, burst: float, now: float) -> Allowance:
        return cls(rate, burst, burst, now)

    def take(self, amount: float, now: float) -> tuple[Allowance, float]:
        """What is left after it, and 0; or, where there is not enough, how many seconds to wait.

        More than ``burst`` is as much as all of it.
        """
        at = max(now, self.at)
        left = min(self.burst, self.left + (at - self.at) * self.rate)
        wanted = min(amount, self.burst)
        if left < wanted:
            return Allowance(self.rate, self.burst, left, at), (wanted - left) / self.rate
        return Allowance(self.rate, self.burst, left - wanted, at), 0.0
