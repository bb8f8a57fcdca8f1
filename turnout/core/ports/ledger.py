"""What the ledger is made from: counts within a window, what is open, and what GitHub could not deliver.

No question costs more as history grows: each is about a window, or about what has not ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from turnout.core.ports.store import Delivery, ReportRow


@dataclass(frozen=True, slots=True)
class Listed:
    """A delivery as GitHub's own list has it. ``guid``: the same for all tries at one delivery, and for us its id.

    ``hook``: ``app``, or ``owner/name#number`` of a repository's webhook. ``number``: of this try, which can be asked
    for again. ``code``: what the webhook answered, 0: nothing. ``ok``: GitHub takes it for delivered.
    """

    guid: str
    hook: str
    number: int
    at: datetime
    event: str
    ok: bool
    code: int
    said: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest commit of a repository's default branch. ``at``: when it was made."""

    repository: str
    sha: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Missed:
    """A delivery that GitHub has and we do not, by its newest try. ``first``: when it was tried first.

    ``tries``: how often GitHub was asked for it again, the last time at ``asked_at``; ``due``: not again before then.
    ``refused``: why GitHub does not send it again.
    """

    listed: Listed
    first: datetime
    due: datetime
    tries: int = 0
    asked_at: datetime | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a hook's list has been compared. ``upto``: all that GitHub delivered before then is.

    ``looked_at``: when it was asked last. ``due``: not again before then. ``said``: why that came to nothing; empty: it
    did not. ``cursor``, ``aim``: of a list too long for one look: where to go on, and what ``upto`` is after it.
    """

    hook: str
    upto: datetime
    looked_at: datetime
    due: datetime
    said: str = ""
    cursor: str = ""
    aim: datetime | None = None


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended. ``due_at``: when it is to be looked at again; None: only when a message comes.
    ``attempts``: how many of its attempts have not ended. ``changed_at``: of its newest event."""

    id: str
    project: str
    status: str
    due_at: datetime | None
    attempts: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """``until``: when its lease, or the time for its launch, ends. ``run_ended``: its run has."""

    id: str
    run: str
    project: str
    task: str
    launched_at: datetime
    until: datetime
    run_ended: bool


@dataclass(frozen=True, slots=True)
class Untold:
    """A run that ended at ``at``, of whose end nothing is recorded for a channel."""

    run: str
    project: str
    channel: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LastAccount:
    """What the sweeper found last."""

    at: datetime
    unaccounted: int
    under_way: int


class Books(Protocol):
    """Every list begins with the oldest and holds at most ``limit``. Thread-safe; each method one transaction."""

    def deliveries(self, since: datetime) -> Mapping[str, int]:
        """By status, those received since."""
        ...

    def unanswered(self, since: datetime, limit: int) -> Sequence[Delivery]:
        """Received since, and neither made into a run nor given a reason."""
        ...

    def runless(self, since: datetime, limit: int) -> Sequence[Delivery]:
        """Received since, which name a run that is not there although their message has not been answered with
        nothing; or which were ignored without a reason."""
        ...

    def messages(self, since: datetime) -> Mapping[str, int]:
        """Of the inbox: ``run``, those handled for a run; ``nothing``, those that nothing came of."""
        ...

    def orphans(self, since: datetime, limit: int) -> Sequence[tuple[str, str, datetime]]:
        """Of the inbox: message, run and time of those handled for a run that is not there."""
        ...

    def runs(self, since: datetime) -> Mapping[str, int]:
        """Created since, by outcome; without one: ``open``."""
        ...

    def open_runs(self, limit: int) -> Sequence[OpenRun]: ...

    def attempts(self, since: datetime) -> Mapping[str, int]:
        """Launched since, by status."""
        ...

    def open_attempts(self, limit: int) -> Sequence[OpenAttempt]: ...

    def reports(self, since: datetime) -> Mapping[str, int]:
        """Facts of runs created since, by status. Tries at a fact are not counted apart."""
        ...

    def open_reports(self, since: datetime, limit: int) -> Sequence[ReportRow]:
        """Of runs created since: begun, and not known to have ended."""
        ...

    def untold(
        self, since: datetime, before: datetime, channels: Collection[str], limit: int
    ) -> Sequence[Untold]:
        """Of runs created since that ended before then."""
        ...

    def keep(self, account: LastAccount) -> None: ...

    def last(self) -> LastAccount | None: ...


class MissedDeliveries(Protocol):
    """What GitHub could not deliver, and how far its lists were compared. Thread-safe; safe for several sweepers."""

    def known(self, guids: Collection[str]) -> Collection[str]:
        """Those of GitHub's deliveries that we have, and got further with than that they were received."""
        ...

    def unseen(self, heads: Sequence[Head]) -> Sequence[Head]:
        """Those that no delivery is about, although their repository's deliveries had come before they were made."""
        ...

    def miss(self, found: Sequence[Missed]) -> None:
        """Insert; of one that is there, the newest try is kept, and how often it was asked for stays."""
        ...

    def missed(self, limit: int) -> Sequence[Missed]:
        """By the time of their first try."""
        ...

    def claim(self, missed: Missed, now: datetime, due: datetime) -> bool:
        """Whether it is ours to ask for now: nobody else has in the meantime, and its time has come. One more try."""
        ...

    def unclaim(self, missed: Missed, due: datetime) -> None:
        """GitHub was not asked after all: as before the claim, but for ``due``."""
        ...

    def refuse(self, missed: Missed, why: str) -> None: ...

    def settle(self, guids: Collection[str]) -> None:
        """They are no longer missed."""
        ...

    def forget(self, before: datetime) -> int:
        """Those first tried before then, which GitHub does not have any more. How many."""
        ...

    def marks(self) -> Sequence[Mark]: ...

    def turn(self, hook: str, now: datetime, due: datetime, first: datetime) -> Mark | None:
        """The hook's mark where its time has come; nobody else gets it before ``due``. ``first``: ``upto`` of a hook
        that was never looked at."""
        ...

    def mark(self, mark: Mark) -> None: ...


class Hooks(Protocol):
    """GitHub's own lists of what it delivered to us. Every call raises TransientError (it is away, or a limit is used
    up: ``retry_after``), PermanentError."""

    def hooks(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The hooks that are ours; and for each repository whose hook is not known, why."""
        ...

    def page(self, hook: str, cursor: str = "") -> tuple[Sequence[Listed], str]:
        """Some tries, the newest first, and where to go on; empty: this is the end."""
        ...

    def heads(self) -> tuple[Sequence[Head], Mapping[str, str]]:
        """Of the repositories that projects serve; and for each whose head can't be had, why."""
        ...

    def again(self, hook: str, number: int) -> None:
        """Deliver it again, soon."""
        ...
