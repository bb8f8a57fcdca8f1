"""The `Deliveries` port over the store's database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.adapters.store import deliveries
from turnout.adapters.store.database import Database
from turnout.core.ports import Delivery


@dataclass(frozen=True)
class KnownDeliveries:
    database: Database

    def find(self, id: str) -> Delivery | None:
        with self.database.read() as connection:
            return deliveries.find(connection, id)

    def page(
        self, *, limit: int, repository: str = "", before: tuple[str, str] = ("", "")
    ) -> Sequence[Delivery]:
        with self.database.read() as connection:
            return deliveries.newest(connection, limit, repository, before)

    def of_commit(self, beginning: str, limit: int = 20) -> Sequence[Delivery]:
        with self.database.read() as connection:
            return deliveries.of_commit(connection, beginning, limit)
