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

    def page(
        self, *, limit: int, repository: str = "", before: tuple[str, str] = ("", "")
    ) -> Sequence[Delivery]:
        every = list(self.store.deliveries(limit=EVERY))
        places = [place for place, each in enumerate(every) if (each.source, each.id) == before]
        rest = every[places[0] + 1 :] if places else every
        return [each for each in rest if repository in ("", each.repository)][:limit]

    def of_commit(self, beginning: str, limit: int = 20) -> Sequence[Delivery]:
        every = self.store.deliveries(limit=EVERY)
        return [each for each in every if each.sha and each.sha.startswith(beginning)][:limit]
