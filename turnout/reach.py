"""A system as somebody at a terminal reaches it: this home's, or one behind a console. Both answer the same values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

from turnout.acting import Acting, Actor
from turnout.auditing import Auditing
from turnout.core.access import EVERYWHERE, Role, Viewer
from turnout.core.account import Account
from turnout.core.causes import Cause
from turnout.core.dead_letters import DeadLetter
from turnout.core.dsse import Signed
from turnout.core.figures import ProjectFigures
from turnout.core.ports import Delivery, RunFilter, RunRow, StoredEvent
from turnout.core.ports.store import ANY_RUN
from turnout.core.run import Run
from turnout.core.simulation import Simulation
from turnout.identifying import LOCAL
from turnout.looking import LOG_PART, AttemptLog, LogPart, Looking, Page
from turnout.simulating import Simulating

Verb = Literal["approve", "reject"]


class Sight(Protocol):
    """What can be read; `turnout.looking.Looking` says what each is. Raises, all of it: TurnoutError."""

    def runs(self, wanted: RunFilter = ANY_RUN, *, cursor: str = "", limit: int = 50) -> Page[RunRow]: ...

    def named(self, given: str) -> Sequence[RunRow]: ...

    def run(self, given: str) -> Run: ...

    def events(self, run: str, after: int = 0) -> Sequence[StoredEvent]: ...

    def at(self, run: str, version: int) -> Run: ...

    def explain(self, run: str, stage: str = "") -> tuple[str, ...]: ...

    def why(self, run: str, stage: str = "") -> tuple[Cause, ...]: ...

    def signed(self, run: str, stage: str = "") -> tuple[Signed, ...]: ...

    def logs(self, run: str, stage: str = "") -> tuple[AttemptLog, ...]: ...

    def log(self, run: str, task: str, number: int, *, start: int = 0, most: int = LOG_PART) -> LogPart: ...

    def deliveries(self, *, repository: str = "", cursor: str = "", limit: int = 50) -> Page[Delivery]: ...

    def delivered(self, given: str) -> tuple[Delivery, ...]: ...

    def letters(self) -> tuple[DeadLetter, ...]: ...

    def project(self, name: str, since: date | None = None) -> ProjectFigures: ...


class Reach(Protocol):
    """``at``: the console's address, empty: this home. ``every``: seconds between two looks at something that goes on.

    ``by``: who asks, which a console knows itself.
    """

    @property
    def at(self) -> str: ...

    @property
    def every(self) -> float: ...

    @property
    def sight(self) -> Sight: ...

    def account(self, since: datetime | None) -> Account:
        """GitHub is asked, too."""
        ...

    def simulate(self, project: str, old: str | None, new: str, *, last: int, file: str) -> Simulation: ...

    def cancel(self, run: Run, by: str, reason: str) -> None: ...

    def rerun(self, run: Run, by: str, *, failed: bool, stage: str) -> str:
        """The id of the new run."""
        ...

    def decide(self, verb: Verb, run: Run, stage: str, by: str, comment: str) -> None: ...

    def retry(self, letters: Sequence[DeadLetter]) -> int:
        """How many were put back."""
        ...

    def discard(self, letters: Sequence[DeadLetter]) -> int: ...


@dataclass(frozen=True)
class Here:
    """This home. Who may read its files may do everything; what they ask for is recorded with their name."""

    sight: Looking
    acting: Acting
    auditing: Callable[[], Auditing]
    trying: Callable[[], Simulating]
    at: str = ""
    every: float = 0.2

    def account(self, since: datetime | None) -> Account:
        return self.auditing().account(since, ask=True)

    def simulate(self, project: str, old: str | None, new: str, *, last: int, file: str) -> Simulation:
        return self.trying()(project, old, new, last=last, file=file)

    def cancel(self, run: Run, by: str, reason: str) -> None:
        self.acting.cancel(self._by(by), run, reason)

    def rerun(self, run: Run, by: str, *, failed: bool, stage: str) -> str:
        return self.acting.rerun(self._by(by), run, failed=failed, stage=stage)

    def decide(self, verb: Verb, run: Run, stage: str, by: str, comment: str) -> None:
        self.acting.decide(self._by(by), verb, run, stage, comment)

    def retry(self, letters: Sequence[DeadLetter]) -> int:
        return self.acting.retry_letters(self._by(""), letters)

    def discard(self, letters: Sequence[DeadLetter]) -> int:
        return self.acting.discard_letters(self._by(""), letters)

    def _by(self, name: str) -> Actor:
        """``name``: that they go by, empty: their own here. Whose home it is they are."""
        who = name or self.acting.identity.owner
        return Actor(Viewer(who, {EVERYWHERE: Role.ADMIN}, via="cli", id=LOCAL + who))
