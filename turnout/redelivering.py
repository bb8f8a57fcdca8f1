"""The use case that asks GitHub again for what it could not deliver.

GitHub itself never does. Its lists are read from the newest try down to where the last look ended; what we do not
have is kept as missed, and asked for until it has come, with longer and longer pauses.
Source: https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from turnout.core.account import MOST, MOST_TRIES
from turnout.core.errors import PermanentError, TransientError
from turnout.core.ports import Clock
from turnout.core.ports.ledger import Hooks, Listed, Mark, Missed, MissedDeliveries

FIRST_LOOK = timedelta(hours=1)
"""How far back the first look at a hook goes: what was sent before Turnout was there is nobody's loss."""
OVERLAP = timedelta(minutes=5)
"""A try may appear in GitHub's list later than it was made."""
PAGES = 20
"""Of one hook's list in one look; the next one goes on there."""
AT_ONCE = 60
"""Deliveries asked for in one look. Source: GitHub's secondary limit, 80 requests a minute that make content."""
LONGEST = timedelta(hours=1)
KEPT = timedelta(days=7)
"""GitHub has nothing older to send, Enterprise Server included."""
SAID = 300
NO_HOOK = "GitHub has no list to compare: no project file names it as its provider, or no webhook is known to be ours"


@dataclass(frozen=True)
class Redelivering:
    """``every``: how often a hook's list is looked at. Safe to call from several processes, as often as one likes."""

    hooks: Hooks
    missed: MissedDeliveries
    clock: Clock
    every: timedelta

    def look(self) -> int:
        """How many deliveries GitHub was asked for again. That GitHub is away or refuses is noted in the hook's mark.

        Raises: TransientError (the store is away).
        """
        now = self.clock.now()
        for mark in self._turns(now):
            self._compare(mark, now)
        self._settle()
        self.missed.forget(now - KEPT)
        return self._ask(now)

    def _turns(self, now: datetime) -> Sequence[Mark]:
        """Hooks that nobody else looks at now."""
        whole = self.missed.turn("hooks", now, now + self.every, now)
        if whole is None:
            return ()
        try:
            names, why = self.hooks.hooks()
        except (TransientError, PermanentError) as error:
            self.missed.mark(replace(whole, said=str(error)[:SAID], due=now + self._pause(error)))
            return ()
        said = "; ".join(f"{repository}: {each}" for repository, each in why.items())[:SAID]
        said = said or ("" if names else NO_HOOK)
        self.missed.mark(replace(whole, said=said))
        first = now - FIRST_LOOK
        turns = (self.missed.turn(each, now, now + self.every, first) for each in names)
        return [mark for mark in turns if mark is not None]

    def _compare(self, mark: Mark, now: datetime) -> None:
        floor, aim, cursor = mark.upto - OVERLAP, mark.aim, mark.cursor
        try:
            for _ in range(PAGES):
                page, cursor = self.hooks.page(mark.hook, cursor)
                if aim is None:
                    aim = page[0].at if page else mark.upto
                self._note([each for each in page if each.at >= floor], now)
                if not cursor or page[-1].at < floor:
                    cursor = ""
                    break
        except TransientError as error:
            self.missed.mark(replace(mark, said=str(error)[:SAID], due=now + self._pause(error)))
        except PermanentError as error:  # a cursor that GitHub does not know any more is one reason
            begun = replace(mark, cursor="", aim=None)
            self.missed.mark(replace(begun, said=str(error)[:SAID], due=now + self._pause(error)))
        else:
            if cursor:
                self.missed.mark(replace(mark, said="", cursor=cursor, aim=aim))
            else:
                upto = max(mark.upto, aim or mark.upto)
                self.missed.mark(replace(mark, said="", upto=upto, cursor="", aim=None))

    def _note(self, page: Sequence[Listed], now: datetime) -> None:
        known = self.missed.known({each.guid for each in page})
        self.missed.miss([Missed(each, each.at, now) for each in reversed(page) if each.guid not in known])

    def _settle(self) -> None:
        self.missed.settle(self.missed.known({each.listed.guid for each in self.missed.missed(MOST)}))

    def _ask(self, now: datetime) -> int:
        """Where GitHub has asked us to wait for a hook, nothing is asked of it before then."""
        resting = {mark.hook for mark in self.missed.marks() if mark.said and mark.due > now}
        due = [each for each in self.missed.missed(MOST) if self._wanted(each, resting, now)]
        asked = 0
        for each in due[:AT_ONCE]:
            pause = min(self.every * 2 ** min(each.tries, 10), LONGEST)
            if each.listed.hook in resting or not self.missed.claim(each, now, now + pause):
                continue
            try:
                self.hooks.again(each.listed.hook, each.listed.number)
                asked += 1
            except TransientError as error:
                resting.add(each.listed.hook)
                self.missed.unclaim(each, now + self._pause(error))
                self._rest(each.listed.hook, str(error), now + self._pause(error))
            except PermanentError as error:
                self.missed.refuse(each, str(error)[:SAID])
        return asked

    def _wanted(self, each: Missed, resting: set[str], now: datetime) -> bool:
        return (
            each.due <= now
            and each.tries < MOST_TRIES
            and not each.refused
            and each.listed.hook not in resting
        )

    def _rest(self, hook: str, said: str, until: datetime) -> None:
        for mark in self.missed.marks():
            if mark.hook == hook:
                self.missed.mark(replace(mark, said=said[:SAID], due=until))

    def _pause(self, error: TransientError | PermanentError) -> timedelta:
        asked = error.retry_after if isinstance(error, TransientError) else None
        return max(self.every, timedelta(seconds=asked or 0))
