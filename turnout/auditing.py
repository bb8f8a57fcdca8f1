"""The use case of the ledger: equate what GitHub sent, what we have, and what was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from turnout.core.account import MOST, SETTLE, Account
from turnout.core.equating import Found, equate
from turnout.core.errors import PermanentError, TransientError
from turnout.core.ports import Clock
from turnout.core.ports.ledger import Books, Head, Hooks, LastAccount, Listed, MissedDeliveries
from turnout.redelivering import NO_HOOK

WINDOW = timedelta(days=3)
"""As long as GitHub keeps the list of its deliveries (Enterprise Server: 7 days).

Source: https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
"""
MOST_PAGES = 300
"""Of GitHub's list of one hook, in one audit."""
MOST_KNOWN = 500
"""Ids in one question to the store."""
LATE = timedelta(hours=1)
NOT_ASKED = (
    "GitHub was not asked: set TURNOUT_GITHUB_APP_ID and TURNOUT_GITHUB_APP_KEY, or TURNOUT_GITHUB_TOKEN"
)


@dataclass(frozen=True)
class Auditing:
    """``hooks``: None: nobody said who we are to GitHub. ``channels``: over which people are told of each run."""

    books: Books
    missed: MissedDeliveries
    clock: Clock
    hooks: Hooks | None = None
    channels: Sequence[str] = ("slack", "email", "github")

    def account(self, since: datetime | None = None, *, ask: bool = False) -> Account:
        """``since``: `WINDOW` before now where none is given. ``ask``: read GitHub's own lists, however long that
        takes; else what the sweeper last saw of them counts.

        Raises: TransientError (the store is away). That GitHub is away is a note.
        """
        now = self.clock.now()
        since = since or now - WINDOW
        listed, notes = self._asked(since) if ask and self.hooks is not None else (None, self._seen(now))
        heads = self._heads(since, now, notes) if listed is not None else ()
        missed = self.missed.missed(MOST)
        books, before = self.books, now - SETTLE
        found = Found(
            listed=listed,
            known=self._known({each.guid for each in listed or ()} | {each.listed.guid for each in missed}),
            missed=missed,
            heads=heads,
            deliveries=books.deliveries(since),
            unanswered=books.unanswered(since, MOST),
            runless=books.runless(since, MOST),
            messages=books.messages(since),
            orphans=books.orphans(since, MOST),
            runs=books.runs(since),
            open_runs=books.open_runs(MOST),
            attempts=books.attempts(since),
            open_attempts=books.open_attempts(MOST),
            reports=books.reports(since),
            open_reports=books.open_reports(since, MOST),
            untold=books.untold(since, before, self.channels, MOST),
        )
        return equate(found, now, since, notes)

    def keep(self) -> LastAccount:
        """Make the account without asking GitHub, and keep its figures for `last`."""
        account = self.account()
        kept = LastAccount(account.at, account.unaccounted, account.under_way)
        self.books.keep(kept)
        return kept

    def last(self) -> LastAccount | None:
        """What the sweeper found last: one row, for metrics. None: it has not yet."""
        return self.books.last()

    def _asked(self, since: datetime) -> tuple[list[Listed] | None, list[str]]:
        """None where not all that GitHub has could be read."""
        assert self.hooks is not None
        try:
            names, why = self.hooks.hooks()
            found: list[Listed] = []
            notes = [f"{repository}: {each}" for repository, each in why.items()]
            if not names:
                return None, [*notes, NO_HOOK]
            for hook in names:
                found.extend(self._pages(hook, since, notes))
            return found, notes
        except (TransientError, PermanentError) as error:
            return None, [f"GitHub could not be asked: {error}", *self._seen(self.clock.now())]

    def _pages(self, hook: str, since: datetime, notes: list[str]) -> list[Listed]:
        assert self.hooks is not None
        found: list[Listed] = []
        cursor = ""
        for _ in range(MOST_PAGES):
            page, cursor = self.hooks.page(hook, cursor)
            found.extend(page)
            if not cursor or (page and page[-1].at < since):
                return found
        notes.append(f"{hook}: GitHub's list is longer than {MOST_PAGES} pages: ask for less with --since")
        return found

    def _heads(self, since: datetime, now: datetime, notes: list[str]) -> Sequence[Head]:
        """Of what was pushed long enough ago, and so that GitHub would still list it: what no delivery is about."""
        assert self.hooks is not None
        try:
            heads, why = self.hooks.heads()
        except (TransientError, PermanentError) as error:
            notes.append(f"GitHub was not asked for the newest commits: {error}")
            return ()
        notes += [f"{repository}: {each}" for repository, each in why.items()]
        return self.missed.unseen([each for each in heads if since <= each.at < now - SETTLE])

    def _seen(self, now: datetime) -> list[str]:
        if self.hooks is None:
            return [NOT_ASKED]
        marks = self.missed.marks()
        if not marks:
            return ["GitHub was not asked yet: the sweeper does"]
        notes = [f"GitHub: {each.said}" for each in marks if each.said]
        last = max(each.looked_at for each in marks)
        if last < now - LATE:
            notes.append(f"GitHub was last asked at {last:%Y-%m-%d %H:%M}: is the sweeper called?")
        return notes

    def _known(self, guids: set[str]) -> set[str]:
        asked = sorted(guids)
        parts = (asked[at : at + MOST_KNOWN] for at in range(0, len(asked), MOST_KNOWN))
        return {each for part in parts for each in self.missed.known(part)}
