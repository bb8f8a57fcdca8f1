"""What became of webhook deliveries, for people who ask about one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from turnout.core.ports.store import Delivery


class Deliveries(Protocol):
    """Thread-safe. Every method is one transaction."""

    def find(self, id: str) -> Delivery | None: ...

    def page(
        self, *, limit: int, repository: str = "", before: tuple[str, str] = ("", "")
    ) -> Sequence[Delivery]:
        """Newest first; of one repository, or of all. ``before``: source and id of the one to go on after; of one that
        is not there: from the newest."""
        ...

    def of_commit(self, beginning: str, limit: int = 20) -> Sequence[Delivery]:
        """Those about a commit whose id begins so (hex digits), newest first."""
        ...
