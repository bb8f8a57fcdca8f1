"""Figures beside a store in one process: the same answers as the database's."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from threading import Lock

from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.store.projection import storable
from turnout.core.ports.figures import Standing
from turnout.core.run import Run
from turnout.core.tally import Deploy, Facts, StageEnd, Tally


class MemoryFigures:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._lock = Lock()
        self._counted: set[str] = set()
        self._days: dict[tuple[str, date], Tally] = {}
        self._totals: dict[str, Tally] = {}
        self._deploys: list[Deploy] = []

    def uncounted(self, limit: int = 100) -> Sequence[Run]:
        with self._lock:
            ended = [run for run in self._store.states() if run.finished and run.id not in self._counted]
            return ended[:limit]

    def count(self, facts: Sequence[Facts], at: datetime) -> int:  # noqa: ARG002 — the port's
        with self._lock:
            mine = [each for each in facts if each.run not in self._counted]
            for each in mine:
                project = storable(each.project)
                place = (project, each.day)
                self._counted.add(each.run)
                self._days[place] = self._days.get(place, Tally()).plus(each.tally)
                self._totals[project] = self._totals.get(project, Tally()).plus(each.tally.lasting())
                self._deploys += each.deploys
            return len(mine)

    def days(self, project: str, since: date) -> Mapping[date, Tally]:
        with self._lock:
            mine = (
                (day, tally) for (name, day), tally in self._days.items() if name == project and day >= since
            )
            return dict(sorted(mine, key=lambda each: each[0]))

    def projects(self) -> Mapping[str, int]:
        return dict(sorted(Counter(storable(run.project) for run in self._store.states()).items()))

    def totals(self) -> Mapping[str, Tally]:
        with self._lock:
            return dict(sorted(self._totals.items()))

    def deploys(self, project: str, since: datetime, limit: int = 1000) -> Sequence[Deploy]:
        with self._lock:
            mine = [each for each in self._deploys if each.project == project and each.at >= since]
            return sorted(mine, key=lambda each: (each.at, each.run, each.stage), reverse=True)[:limit]

    def stages(self, runs: Collection[str]) -> Mapping[str, Mapping[str, StageEnd]]:
        return {
            run.id: {stage.name: StageEnd(stage.outcome, stage.allowed) for stage in run.stages.values()}
            for run in self._store.states()
            if run.finished and run.id in runs
        }

    def standing(self, now: datetime) -> Standing:
        return replace(self._store.standing(now), uncounted=len(self.uncounted(limit=sys.maxsize)))
