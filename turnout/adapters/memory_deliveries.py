"""The `Deliveries` port over the store in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.adapters.memory_store import MemoryStore
from turnout.core.ports import Delivery

EVERY = 10**9


@dataclass(frozen=True)
class MemoryDeliveries:
    store: MemoryStore

    def find(self, id: str) -> Delivery | None:
        return next((each for each in self.store.deliveries(limit=EVERY) if each.id == id), None)

    def of_commit(self, beginning: str, limit: int = 20) -> Sequence[Delivery]:
        every = self.store.deliveries(limit=EVERY)
        return [each for each in every if each.sha and each.sha.startswith(beginning)][:limit]
