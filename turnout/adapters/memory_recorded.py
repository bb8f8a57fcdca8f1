"""The `RecordedChanges` port over the store in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.store.recorded import change_of
from turnout.core.events import RunCreated
from turnout.core.ports import RunFilter
from turnout.core.ports.recorded import WINDOW, RecordedChange


@dataclass(frozen=True)
class MemoryRecordedChanges:
    store: MemoryStore

    def newest(self, project: str, limit: int) -> Sequence[RecordedChange]:
        found = [*self._of_runs(project, limit), *self._of_deliveries(project, limit)]
        return sorted(found, key=lambda each: each.at, reverse=True)[:limit]

    def _of_runs(self, project: str, limit: int) -> Iterator[RecordedChange]:
        for row in self.store.runs(RunFilter(project=project), limit=limit * WINDOW):
            first = self.store.events(row.id)[0].event
            if isinstance(first, RunCreated) and not first.rerun_of:
                yield RecordedChange(first.at, first.change, row.id, first.delivery)

    def _of_deliveries(self, project: str, limit: int) -> Iterator[RecordedChange]:
        for each in self.store.deliveries(limit=limit * WINDOW, repository=project):
            value = self.store.trigger_of(each)
            change = change_of(value) if value is not None and each.status == "ignored" else None
            if change is not None:
                yield RecordedChange(each.received_at, change, "", each.id, each.reason)
