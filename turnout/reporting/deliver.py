"""The use case: something happened to a run, tell it over every channel, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from turnout.core.errors import PermanentError, TransientError
from turnout.core.messages import ReportRequested
from turnout.core.outgoing import FINISHED, fact
from turnout.core.ports import Clock
from turnout.core.run import Run
from turnout.reporting.current import Report, read
from turnout.reporting.ledger import SENT, SKIPPED, Ledger, Reports


@dataclass(frozen=True, slots=True)
class Told:
    """``status``: ``sent``, with what finds it again; or ``skipped``, with the reason."""

    status: str
    reference: str

    @classmethod
    def nothing(cls, reason: str) -> Told:
        return cls(SKIPPED, reason)

    @classmethod
    def sent(cls, reference: str) -> Told:
        return cls(SENT, reference)


class Channel(Protocol):
    """A way to people. ``name`` is what the reports table calls it."""

    @property
    def name(self) -> str: ...

    def silent(self, run: Run) -> str:
        """Why nobody is told anything of this run over this channel, whatever happens; empty: somebody may be."""
        ...

    def tell(self, report: Report, ledger: Ledger) -> Told:
        """Bring what people see up to date with the run. Idempotent; every effect goes through the ledger.

        Raises: TransientError, PermanentError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Unconfigured:
    """A channel that the operator has not set up: nothing is sent, and that is recorded."""

    name: str
    reason: str

    def silent(self, run: Run) -> str:  # noqa: ARG002 (the port's signature)
        return self.reason

    def tell(self, report: Report, ledger: Ledger) -> Told:  # noqa: ARG002 (the port's signature)
        return Told.nothing(self.reason)


def report(message: ReportRequested, store: Reports, channels: Sequence[Channel], clock: Clock) -> None:
    """Tell what ``message`` is about. Harmless to repeat.

    Every channel is tried, also when another one fails. People are told the run as it is now, so that facts which
    come late, twice or out of order can't show an older state; facts that this one has overtaken on its way to them are
    recorded as told with it. A channel that is silent about the run costs nothing until it ends: then its facts are
    recorded as skipped, all at once.

    Raises: NotFound for a run that isn't in the store; TransientError when at least one channel should be tried
    again (``retry_after``: the longest wait asked for); PermanentError when none can be helped by that.
    """
    current = read(store, message.run)
    if current.run.version < message.version:
        raise TransientError(
            f"run {message.run} is at version {current.run.version}, before {message.version}"
        )
    run_all([partial(_tell, message, current, each, store, clock) for each in channels])


def run_all(steps: Sequence[Callable[[], object]]) -> None:
    """Run every step, also after one has failed; then raise what stands for all failures.

    Raises: the first failure that isn't ours (a defect); else a TransientError if there is one among them, else a
    PermanentError.
    """
    failures: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as error:
            failures.append(error)
    if not failures:
        return
    for failure in failures:
        if not isinstance(failure, PermanentError | TransientError):
            raise failure
    if len(failures) == 1:
        raise failures[0]
    said = "; ".join(str(failure) for failure in failures)
    waits = [each for each in failures if isinstance(each, TransientError)]
    if waits:
        longest = max((each.retry_after for each in waits if each.retry_after is not None), default=None)
        raise TransientError(said, retry_after=longest)
    raise PermanentError(said)


def _tell(message: ReportRequested, current: Report, channel: Channel, store: Reports, clock: Clock) -> None:
    ledger = Ledger(store, clock, message.run, channel.name, message.fact)
    silence = channel.silent(current.run)
    last = _facts(message, current.run, store) if message.fact == FINISHED else {}
    if silence:
        if last:
            ledger.settle(last, SKIPPED, silence[:500])
        return
    ledger = replace(ledger, others=tuple(name for name in last if name != FINISHED))
    before = ledger.find(message.fact)
    settled = before is not None and before.status in (SENT, SKIPPED) and before.version >= message.version
    if settled and not ledger.unfinished():
        return
    try:
        told = channel.tell(current, ledger)
    except TransientError:
        raise  # it is tried again; should its message be lost, the sweeper sees that nothing is known of it
    except Exception as error:
        ledger.note_failure(message.fact, str(error)[:500], message.version)
        raise
    ledger.settle(last or _facts(message, current.run, store), told.status, told.reference[:500])


def _facts(message: ReportRequested, run: Run, store: Reports) -> dict[str, int]:
    """What is settled once people know ``run``: this fact, those after it, and where it has ended all that are left."""
    found = {message.fact: message.version}
    after = 0 if run.finished else message.version
    for each in store.events(run.id, after) if after < run.version else ():
        if each.version > run.version:
            break  # written since: `run` does not know of it
        name = fact(run, each.event)
        if name:
            found[name] = each.version
    return found
