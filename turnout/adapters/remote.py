"""A system behind a console: the values of `turnout.looking`, made of what the REST API answers."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar, cast
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from turnout.adapters.console_client import ConsoleClient
from turnout.core import events as e
from turnout.core.account import Account
from turnout.core.causes import Cause
from turnout.core.dead_letters import DeadLetter
from turnout.core.dsse import Signed
from turnout.core.envelope import Record
from turnout.core.errors import Newer, NotFound, PermanentError
from turnout.core.figures import ProjectFigures
from turnout.core.ports import Delivery, RunFilter, RunRow, StoredEvent
from turnout.core.ports.store import ANY_RUN
from turnout.core.run import Run
from turnout.core.simulation import Simulation
from turnout.looking import LOG_PART, AttemptLog, LogPart, Page
from turnout.reach import Verb

T = TypeVar("T")
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class RemoteSight:
    """`turnout.reach.Sight`."""

    client: ConsoleClient

    def runs(self, wanted: RunFilter = ANY_RUN, *, cursor: str = "", limit: int = 50) -> Page[RunRow]:
        found = self.client.get(
            "runs",
            project=wanted.project,
            branch=wanted.branch,
            outcome=wanted.outcome,
            status=wanted.status,
            person=wanted.person,
            cursor=cursor,
            limit=limit,
        )
        return Page(read(tuple[RunRow, ...], found["items"]), str(found["next"]))

    def named(self, given: str) -> Sequence[RunRow]:
        return read(tuple[RunRow, ...], self.client.get("runs", named=given)["items"])

    def run(self, given: str) -> Run:
        missing = NotFound(f"no run {given!r}", "`turnout runs` lists them")
        if not _PLAIN.fullmatch(given):
            found = self.named(given)
            if len(found) > 1:
                some = ", ".join(row.id[:12] for row in found[:4])
                raise PermanentError(f"several runs are called {given!r}: {some}", "give an id")
            if not found:
                raise missing
            given = found[0].id
        try:
            return read(Run, self.client.get(_run(given)))
        except NotFound as error:
            raise missing from error

    def events(self, run: str, after: int = 0) -> Sequence[StoredEvent]:
        return list(self._events(run, after))

    def _events(self, run: str, after: int) -> Iterator[StoredEvent]:
        while True:
            page = self.client.get(f"{_run(run)}/events", after=after)
            for each in page["items"]:
                yield _stored(each)
            after = page["next"]
            if not after:
                return

    def at(self, run: str, version: int) -> Run:
        return read(Run, self.client.get(f"{_run(run)}/at/{version}"))

    def explain(self, run: str, stage: str = "") -> tuple[str, ...]:
        return read(tuple[str, ...], self._explanation(run, stage)["sentences"])

    def why(self, run: str, stage: str = "") -> tuple[Cause, ...]:
        return read(tuple[Cause, ...], self._explanation(run, stage)["causes"])

    def _explanation(self, run: str, stage: str) -> Any:
        return self.client.get(f"{_run(run)}/explanation", stage=stage)

    def signed(self, run: str, stage: str = "") -> tuple[Signed, ...]:
        found = self.client.get(f"{_run(run)}/attestations", stage=stage)
        return read(tuple[Signed, ...], found["items"])

    def logs(self, run: str, stage: str = "") -> tuple[AttemptLog, ...]:
        return read(tuple[AttemptLog, ...], self.client.get(f"{_run(run)}/logs", stage=stage)["items"])

    def log(self, run: str, task: str, number: int, *, start: int = 0, most: int = LOG_PART) -> LogPart:
        found = self.client.answer(f"{_run(run)}/log", task=task, attempt=number, start=start, most=most)
        try:
            size, ended = int(found.headers["turnout-size"]), found.headers["turnout-ended"] == "true"
        except (KeyError, ValueError) as error:
            raise _unread(self.client.address) from error
        return LogPart(found.content, start, size, ended)

    def deliveries(self, *, repository: str = "", cursor: str = "", limit: int = 50) -> Page[Delivery]:
        found = self.client.get("deliveries", repository=repository, cursor=cursor, limit=limit)
        return Page(read(tuple[Delivery, ...], found["items"]), str(found["next"]))

    def delivered(self, given: str) -> tuple[Delivery, ...]:
        return read(tuple[Delivery, ...], self.client.get("deliveries", named=given)["items"])

    def letters(self) -> tuple[DeadLetter, ...]:
        return tuple(_letter(each) for each in self.client.get("dead-letters")["items"])

    def project(self, name: str, since: date | None = None) -> ProjectFigures:
        asked = since.isoformat() if since else ""
        return read(ProjectFigures, self.client.get(f"projects/{quote(name, safe='/')}", since=asked))


@dataclass(frozen=True)
class Remote:
    """`turnout.reach.Reach`."""

    client: ConsoleClient
    every: float = 1.0

    @property
    def at(self) -> str:
        return self.client.address

    @property
    def sight(self) -> RemoteSight:
        return RemoteSight(self.client)

    def account(self, since: datetime | None) -> Account:
        asked = since.isoformat() if since else ""
        return read(Account, self.client.get("ledger", since=asked, ask="true"))

    def simulate(self, project: str, old: str | None, new: str, *, last: int, file: str) -> Simulation:
        asked = {"project": project, "old": old, "content": new, "last": last, "file": file}
        return read(Simulation, self.client.post("simulate", asked))

    def cancel(self, run: Run, by: str, reason: str) -> None:  # noqa: ARG002 - the console knows who asks
        self.client.post(f"{_run(run.id)}/cancel", {"reason": reason})

    def rerun(self, run: Run, by: str, *, failed: bool, stage: str) -> str:  # noqa: ARG002
        return str(self.client.post(f"{_run(run.id)}/rerun", {"failed": failed, "stage": stage})["run"])

    def decide(self, verb: Verb, run: Run, stage: str, by: str, comment: str) -> None:  # noqa: ARG002
        self.client.post(f"{_run(run.id)}/{verb}", {"stage": stage, "comment": comment})

    def retry(self, letters: Sequence[DeadLetter]) -> int:
        return self._letters("retry", letters)

    def discard(self, letters: Sequence[DeadLetter]) -> int:
        return self._letters("discard", letters)

    def _letters(self, verb: str, letters: Sequence[DeadLetter]) -> int:
        """Those, and no others: an empty list would mean all that are open by now."""
        if not letters:
            return 0
        return int(self.client.post(f"dead-letters/{verb}", {"ids": [each.id for each in letters]})["taken"])


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read(kind: type[T], found: Any) -> T:
    """Raises: PermanentError: it answers in another version's words."""
    try:
        made: T = _adapter(cast(Hashable, kind)).validate_python(found, extra="ignore")
    except ValidationError as error:
        raise _unread("the console") from error
    return made


def _unread(who: str) -> PermanentError:
    return PermanentError(
        f"{who} answers what this version does not understand", "use the version that the console has"
    )


def _stored(given: Any) -> StoredEvent:
    try:
        event = e.load(given["event"])
    except (ValidationError, Newer, KeyError, TypeError) as error:
        raise _unread("the console") from error
    return StoredEvent(given["run"], given["version"], datetime.fromisoformat(given["at"]), event)


def _letter(given: Any) -> DeadLetter:
    """Its value is not shown to anybody, and its id is enough to put it back."""
    rest = {name: value for name, value in given.items() if name not in ("topic", "key")}
    return read(DeadLetter, {**rest, "record": Record(given["topic"], given["key"], b"", ())})


def _run(id: str) -> str:
    return f"runs/{quote(id, safe='')}"
