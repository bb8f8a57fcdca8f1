"""The ledger's questions, and what GitHub could not deliver, over a store in memory: the database's answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from threading import RLock

from turnout.adapters.memory_store import Entry, MemoryStore
from turnout.core.outgoing import FINISHED
from turnout.core.ports import Delivery, ReportRow
from turnout.core.ports.ledger import Head, LastAccount, Mark, Missed, OpenAttempt, OpenRun, Untold
from turnout.core.run import Run


class MemoryBooks:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._last: LastAccount | None = None

    def deliveries(self, since: datetime) -> Mapping[str, int]:
        return Counter(each.status for each in self._received(since))

    def unanswered(self, since: datetime, limit: int) -> Sequence[Delivery]:
        return [each for each in self._received(since) if each.status in ("received", "published")][:limit]

    def runless(self, since: datetime, limit: int) -> Sequence[Delivery]:
        runs, inbox = self._ids(), {each.message: each.run for each in self._store.entries()}
        return [
            each
            for each in self._received(since)
            if (each.status == "ignored" and not each.reason)
            or (each.status == "run" and each.run not in runs and inbox.get(each.message) != "")
        ][:limit]

    def messages(self, since: datetime) -> Mapping[str, int]:
        return Counter("run" if each.run else "nothing" for each in self._handled(since))

    def orphans(self, since: datetime, limit: int) -> Sequence[tuple[str, str, datetime]]:
        runs = self._ids()
        lost = [each for each in self._handled(since) if each.run and each.run not in runs]
        return [(each.message, each.run, each.at) for each in lost][:limit]

    def runs(self, since: datetime) -> Mapping[str, int]:
        return Counter(run.outcome.value if run.outcome else "open" for run in self._created(since))

    def open_runs(self, limit: int) -> Sequence[OpenRun]:
        return [
            OpenRun(
                run.id,
                run.project,
                run.status.value,
                self._store.due_of(run.id),
                len(self._store.attempts(run.id)),
                self._store.events(run.id)[-1].at,
            )
            for run in self._store.states()
            if not run.finished
        ][:limit]

    def attempts(self, since: datetime) -> Mapping[str, int]:
        return Counter(each.status for each in self._store.launched() if each.launched_at >= since)

    def open_attempts(self, limit: int) -> Sequence[OpenAttempt]:
        runs = {run.id: run for run in self._store.states()}
        until = {each.id: each.lease_until for run in runs for each in self._store.attempts(run)}
        found = sorted(
            (each for each in self._store.launched() if each.finished_at is None),
            key=lambda each: (each.launched_at, each.id),
        )
        return [
            OpenAttempt(
                each.id,
                each.run,
                runs[each.run].project,
                each.task,
                each.launched_at,
                until[each.id],
                runs[each.run].finished,
            )
            for each in found[:limit]
        ]

    def reports(self, since: datetime) -> Mapping[str, int]:
        return Counter(each.status for each in self._told(since))

    def open_reports(self, since: datetime, limit: int) -> Sequence[ReportRow]:
        found = [each for each in self._told(since) if each.status == "sending"]
        return sorted(found, key=lambda each: (each.at, each.fact))[:limit]

    def untold(
        self, since: datetime, before: datetime, channels: Collection[str], limit: int
    ) -> Sequence[Untold]:
        found = [
            Untold(run.id, run.project, channel, run.finished_at)
            for run in self._created(since)
            for channel in channels
            if run.finished_at is not None
            and run.finished_at < before
            and self._store.find_report(run.id, channel, FINISHED) is None
        ]
        return sorted(found, key=lambda each: each.at)[:limit]

    def keep(self, account: LastAccount) -> None:
        if self._last is None or self._last.at <= account.at:
            self._last = account

    def last(self) -> LastAccount | None:
        return self._last

    def _received(self, since: datetime) -> Iterable[Delivery]:
        found = [each for each in self._store.all_deliveries() if each.received_at >= since]
        return sorted(found, key=lambda each: each.received_at)

    def _handled(self, since: datetime) -> Iterable[Entry]:
        return sorted((each for each in self._store.entries() if each.at >= since), key=lambda each: each.at)

    def _created(self, since: datetime) -> Iterable[Run]:
        return [run for run in self._store.states() if run.created_at >= since]

    def _told(self, since: datetime) -> Iterable[ReportRow]:
        runs = {run.id for run in self._created(since)}
        return [each for each in self._store.all_reports() if each.run in runs and "~" not in each.fact]

    def _ids(self) -> Collection[str]:
        return {run.id for run in self._store.states()}


class MemoryMissed:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._missed: dict[str, Missed] = {}
        self._marks: dict[str, Mark] = {}
        self._lock = RLock()

    def known(self, guids: Collection[str]) -> Collection[str]:
        return {
            each.id
            for each in self._store.all_deliveries()
            if each.id in guids and each.source == "github" and each.status != "received"
        }

    def unseen(self, heads: Sequence[Head]) -> Sequence[Head]:
        known = [each for each in self._store.all_deliveries() if each.sha]
        return [
            head
            for head in heads
            if all(each.sha != head.sha for each in known)
            and any(each.repository == head.repository and each.received_at < head.at for each in known)
        ]

    def miss(self, found: Sequence[Missed]) -> None:
        with self._lock:
            for each in found:
                known = self._missed.get(each.listed.guid)
                if known is None:
                    self._missed[each.listed.guid] = replace(each, tries=0, asked_at=None, refused="")
                elif known.listed.number < each.listed.number:
                    self._missed[each.listed.guid] = replace(known, listed=each.listed)

    def missed(self, limit: int) -> Sequence[Missed]:
        with self._lock:
            return sorted(self._missed.values(), key=lambda each: (each.first, each.listed.guid))[:limit]

    def claim(self, missed: Missed, now: datetime, due: datetime) -> bool:
        with self._lock:
            known = self._missed.get(missed.listed.guid)
            if known is None or known.tries != missed.tries or known.due > now:
                return False
            self._missed[missed.listed.guid] = replace(known, tries=known.tries + 1, asked_at=now, due=due)
            return True

    def unclaim(self, missed: Missed, due: datetime) -> None:
        with self._lock:
            if known := self._missed.get(missed.listed.guid):
                before = replace(known, tries=missed.tries, asked_at=missed.asked_at, due=due)
                self._missed[missed.listed.guid] = before

    def refuse(self, missed: Missed, why: str) -> None:
        with self._lock:
            if known := self._missed.get(missed.listed.guid):
                self._missed[missed.listed.guid] = replace(known, refused=why)

    def settle(self, guids: Collection[str]) -> None:
        with self._lock:
            for each in guids:
                self._missed.pop(each, None)

    def forget(self, before: datetime) -> int:
        with self._lock:
            old = [guid for guid, each in self._missed.items() if each.first < before]
            self.settle(old)
            return len(old)

    def marks(self) -> Sequence[Mark]:
        with self._lock:
            return [self._marks[hook] for hook in sorted(self._marks)]

    def turn(self, hook: str, now: datetime, due: datetime, first: datetime) -> Mark | None:
        with self._lock:
            known = self._marks.get(hook)
            if known is not None and known.due > now:
                return None
            self._marks[hook] = (
                replace(known, looked_at=now, due=due) if known else Mark(hook, first, now, due)
            )
            return self._marks[hook]

    def mark(self, mark: Mark) -> None:
        with self._lock:
            self._marks[mark.hook] = mark
