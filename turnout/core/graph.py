"""The order of stages: cycles, what stands behind them, and a topological order that keeps the file's."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence


def order(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Every name after all it needs, ties in the order of ``needs``; names on or behind a cycle are left out."""
    rank = {name: index for index, name in enumerate(needs)}
    waiting = {name: len({need for need in wanted if need in rank}) for name, wanted in needs.items()}
    behind: dict[str, list[str]] = {name: [] for name in needs}
    for name, wanted in needs.items():
        for need in {need for need in wanted if need in rank}:
            behind[need].append(name)
    ready = [rank[name] for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    names = tuple(needs)
    found: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        found.append(name)
        for each in behind[name]:
            waiting[each] -= 1
            if waiting[each] == 0:
                heapq.heappush(ready, rank[each])
    return tuple(found)


def cycles(needs: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Cycles that share no name, each along its needs and from the name that comes first in ``needs``."""
    found: list[tuple[str, ...]] = []
    left = dict(needs)
    while True:
        sound = set(order(left))
        left = {name: wanted for name, wanted in left.items() if name not in sound}
        if not left:
            return tuple(found)
        cycle = _walk_round(
            {name: [need for need in wanted if need in left] for name, wanted in left.items()}
        )
        first = next(index for index, name in enumerate(needs) if name in cycle)
        at = cycle.index(tuple(needs)[first])
        found.append((*cycle[at:], *cycle[:at]))
        left = {name: wanted for name, wanted in left.items() if name not in cycle}


def _walk_round(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A cycle among names of which each needs another one here, so that a walk must come round."""
    walked: list[str] = []
    name = next(iter(needs))
    while name not in walked:
        walked.append(name)
        name = needs[name][0]
    return tuple(walked[walked.index(name) :])
