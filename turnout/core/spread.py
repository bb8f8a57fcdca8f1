"""How lengths of time are spread: counts by size, which add up over days and still tell percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, exp2, log2

from pydantic import Field

from turnout.core.model import Value

STEPS = 16
"""Buckets between a length and its double: what is read from them is within 2.2 % of the truth."""
LEAST = 2.0**-10
"""Seconds; what is shorter counts as this."""


class Spread(Value):
    """Bucket ``n`` holds the lengths in (2^((n - 1)/16), 2^(n/16)] seconds. ``total``: the seconds of all together."""

    counts: dict[int, int] = Field(default_factory=dict)
    total: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def plus(self, other: Spread) -> Spread:
        if not other.counts:
            return self
        counts = dict(self.counts)
        for bucket, number in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + number
        return Spread.model_construct(counts=counts, total=self.total + other.total)

    def quantile(self, share: float) -> float | None:
        """Seconds that this share of the lengths (0 to 1) does not exceed; None where there is none."""
        rank = max(1, ceil(share * self.count))
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                return exp2((bucket - 0.5) / STEPS)
        return None

    def up_to(self, powers: Sequence[int]) -> Iterator[tuple[float, int]]:
        """For each of these powers of two, in seconds, how many lengths are not longer. Exact."""
        for power in powers:
            yield 2.0**power, sum(n for bucket, n in self.counts.items() if bucket <= power * STEPS)


def spread(lengths: Iterable[float]) -> Spread:
    """Of lengths in seconds."""
    counts: dict[int, int] = {}
    total = 0.0
    for length in lengths:
        total += max(length, 0.0)
        bucket = ceil(STEPS * log2(max(length, LEAST)))
        counts[bucket] = counts.get(bucket, 0) + 1
    return Spread(counts=counts, total=total)


def merged(spreads: Iterable[Spread]) -> Spread:
    found = Spread()
    for each in spreads:
        found = found.plus(each)
    return found
