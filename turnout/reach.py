"""A system as somebody at a terminal reaches it: this home's, or one behind a console. Both answer the same values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from turnout.acting import NotNow
from turnout.auditing import Auditing
from turnout.commanding import Commands
from turnout.core.account import Account
from turnout.core.causes import Cause
from turnout.core.dead_letters import DeadLetter
from turnout.core.dsse import Signed
from turnout.core.errors import NotFound
from turnout.core.ports import Bus, Delivery, RunFilter, RunRow, StoredEvent
from turnout.core.ports.store import ANY_RUN
from turnout.core.run import Run, StageStatus
from turnout.core.simulation import Simulation
from turnout.looking import LOG_PART, AttemptLog, LogPart, Looking, Page
from turnout.redriving import discard, redrive
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

    def deliveries(self, *, repository: str = "", limit: int = 50) -> Page[Delivery]: ...

    def delivered(self, given: str) -> tuple[Delivery, ...]: ...

    def letters(self) -> tuple[DeadLetter, ...]: ...


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
    commands: Commands
    auditing: Callable[[], Auditing]
    bus: Callable[[], Bus]
    trying: Callable[[], Simulating]
    at: str = ""
    every: float = 0.2

    def account(self, since: datetime | None) -> Account:
        return self.auditing().account(since, ask=True)

    def simulate(self, project: str, old: str | None, new: str, *, last: int, file: str) -> Simulation:
        return self.trying()(project, old, new, last=last, file=file)

    def cancel(self, run: Run, by: str, reason: str) -> None:
        if run.finished:
            raise NotNow(f"run {run.id[:12]} has ended already", "there is nothing to cancel")
        self.commands.cancel(run, by, reason)

    def rerun(self, run: Run, by: str, *, failed: bool, stage: str) -> str:
        if not run.finished:
            raise NotNow(f"run {run.id[:12]} has not ended", f"`turnout cancel {run.id[:12]}` first")
        if run.plan is None:
            raise NotNow(f"run {run.id[:12]} has no plan: its file was not valid", "push a fix instead")
        if stage and stage not in run.stages:
            raise NotFound(f"no stage {stage!r}", f"it has {', '.join(run.stages)}")
        return self.commands.rerun(run, by, failed=failed, stage=stage)

    def decide(self, verb: Verb, run: Run, stage: str, by: str, comment: str) -> None:
        if stage not in run.stages:
            raise NotFound(f"no stage {stage!r}", f"it has {', '.join(run.stages)}")
        if run.stages[stage].status is not StageStatus.WAITING:
            raise NotNow(f"{stage} does not wait for approval", f"`turnout explain {run.id[:12]} {stage}`")
        act = self.commands.approve if verb == "approve" else self.commands.reject
        act(run, stage, by, comment)

    def retry(self, letters: Sequence[DeadLetter]) -> int:
        return redrive(self.bus(), letters)

    def discard(self, letters: Sequence[DeadLetter]) -> int:
        return discard(self.bus(), letters)
