"""The use case of the ledger: equate what GitHub sent, what we have, and what was told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from turnout.core.account import Account
from turnout.core.ports import Clock
from turnout.core.ports.ledger import Books

WINDOW = timedelta(days=3)
"""As long as GitHub keeps a list of its deliveries (Enterprise Server: 7 days).

Source: https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
"""


@dataclass(frozen=True)
class Auditing:
    books: Books
    clock: Clock

    def account(self, since: datetime | None = None) -> Account:
        """``since``: `WINDOW` before now where none is given. Raises: TransientError (the store is away)."""
        now = self.clock.now()
        return Account(now, since or now - WINDOW, ())
