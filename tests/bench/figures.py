"""Medians and spread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median, and the values that 5 % and 95 % of the samples are below."""

    p50: float
    p5: float
    p95: float
    samples: int

    @classmethod
    def of(cls, samples: Iterable[float]) -> Spread:
        """Raises: ValueError without any sample."""
        found = sorted(samples)
        if not found:
            raise ValueError("no samples: nothing was measured")
        return cls(_at(found, 0.5), _at(found, 0.05), _at(found, 0.95), len(found))


def _at(ordered: list[float], share: float) -> float:
    """Between the two nearest samples."""
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
