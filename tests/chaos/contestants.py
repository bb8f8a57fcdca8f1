"""Turnout and Buildbot under the same strikes: what is struck, and what became of each delivery."""

from __future__ import annotations

import http.client
import signal
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import httpx

from local.server_process import ServerFailed
from tests.chaos.burst import TIMEOUT
from tests.chaos.processes import send, tree
from tests.chaos.pushes import REPOSITORIES, Delivery, deliveries, planned
from tests.chaos.theatre import STAGES, Theatre, wait
from tests.e2e.system import SECRET
from tests.peers.buildbot import Buildbot, push_payload


class Side(StrEnum):
    """``SERVER``: what takes deliveries and decides. ``WORKER``: what carries commands out. ``MACHINE``: both."""

    SERVER = "server"
    WORKER = "worker"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one delivery. ``runs``: how many there are of it. ``outcomes``: of each; empty: it has not ended.
    ``done``: stage → how often its command was carried out."""

    runs: int
    outcomes: tuple[str, ...]
    done: Mapping[str, int]


class Contestant(ABC):
    """``name`` as the table has it."""

    name: str

    def __init__(self) -> None:
        self._closing = ExitStack()

    @abstractmethod
    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.__exit__(kind, error, trace)

    @abstractmethod
    def prepare(self, seed: int, count: int, doubled: float) -> Sequence[Delivery]: ...

    @abstractmethod
    def post(self, delivery: Delivery) -> bool:
        """Once, as GitHub does it; whether it was accepted within GitHub's time."""

    @abstractmethod
    def kill(self, side: Side, down: float) -> None:
        """SIGKILL; an init system starts it again after so many seconds."""

    @abstractmethod
    def freeze(self, side: Side, lasts: float) -> None:
        """SIGSTOP, and SIGCONT after so many seconds."""

    @abstractmethod
    def became(self) -> Mapping[str, Became]:
        """Delivery id → what became of it; those that left no trace are missing."""

    @abstractmethod
    def quiet(self) -> bool:
        """Whether nothing waits or runs any more."""

    @property
    @abstractmethod
    def effects(self) -> Path:
        """Where each command writes a line."""


class Turnout(Contestant):
    def __init__(self, home: Path, *, shared: bool) -> None:
        super().__init__()
        self.name = "Turnout, Kafka and PostgreSQL" if shared else "Turnout, embedded"
        self._theatre = Theatre(home, shared=shared)

    def __enter__(self) -> Self:
        self._closing.enter_context(self._theatre)
        return self

    def prepare(self, seed: int, count: int, doubled: float) -> Sequence[Delivery]:
        return deliveries(seed, count, self._theatre.repositories, doubled)

    def post(self, delivery: Delivery) -> bool:
        try:
            answer = httpx.post(
                self._theatre.webhook,
                content=delivery.body,
                headers=delivery.headers(SECRET),
                timeout=TIMEOUT,
            )
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return answer.status_code in (200, 202)

    def _processes(self, side: Side) -> list[int]:
        agents = side is Side.WORKER
        pids = [pid for name, pid in self._theatre.parts.items() if name.startswith("agent") == agents]
        return [each for pid in pids for each in tree(pid)]

    def kill(self, side: Side, down: float) -> None:
        if side is Side.MACHINE:
            self._theatre.down(down)
        else:
            send(self._processes(side), signal.SIGKILL)

    def freeze(self, side: Side, lasts: float) -> None:
        heard = send(self._processes(side), signal.SIGSTOP)
        wait(lasts)
        send(heard, signal.SIGCONT)

    def became(self) -> Mapping[str, Became]:
        store = self._theatre.seen.store
        done = Counter(_pair(line) for line in self.effects.read_text().splitlines())
        found: dict[str, list[tuple[str, Counter[str]]]] = defaultdict(list)
        for row in store.runs(limit=100_000):
            run = store.load(row.id)
            if run is not None:
                stages = Counter({stage: done[(run.id, stage)] for stage in STAGES if done[(run.id, stage)]})
                found[run.delivery].append((run.outcome.value if run.outcome else "", stages))
        for each in store.deliveries(limit=100_000):
            found.setdefault(each.id, [])
        return {
            id: Became(
                len(runs),
                tuple(outcome for outcome, _ in runs),
                dict(sum((each for _, each in runs), Counter())),
            )
            for id, runs in found.items()
        }

    @property
    def effects(self) -> Path:
        return self._theatre.system.effects

    def quiet(self) -> bool:
        rows = self._theatre.seen.store.runs(limit=100_000)
        noted = self._theatre.seen.store.deliveries(limit=100_000)
        return all(row.finished_at for row in rows) and all(each.status == "run" for each in noted)


class BuildbotUnderStrikes(Contestant):
    name = "Buildbot"

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._effects = home / "effects.txt"
        commands = [f"echo $REVISION {stage} $BUILD >> {self._effects}" for stage in STAGES]
        self._buildbot = Buildbot(commands, folder=home / "buildbot")
        self._revisions: dict[str, str] = {}
        self._starting = Lock()

    def __enter__(self) -> Self:
        self._effects.parent.mkdir(parents=True, exist_ok=True)
        self._effects.touch()
        self._closing.enter_context(self._buildbot)
        return self

    def prepare(self, seed: int, count: int, doubled: float) -> Sequence[Delivery]:
        """A commit of its own for each push, by which its builds are known."""
        made = []
        for id, copies in planned(seed, count, doubled):
            revision = id.replace("-", "").ljust(40, "0")
            self._revisions[revision] = id
            made.append(Delivery(id, REPOSITORIES[0], push_payload(revision, REPOSITORIES[0]), copies))
        return made

    def post(self, delivery: Delivery) -> bool:
        try:
            return self._buildbot.post(delivery.id, delivery.body, TIMEOUT) in (200, 202)
        except (OSError, http.client.HTTPException):
            return False

    def _processes(self, side: Side) -> list[int]:
        try:
            master = self._buildbot.master_pid
        except ServerFailed:
            master = 0
        pids = [pid for pid in self._buildbot.pids if (pid == master) == (side is Side.SERVER)]
        return [each for pid in pids for each in tree(pid)]

    def kill(self, side: Side, down: float) -> None:
        with self._starting:
            if side is not Side.WORKER:
                self._buildbot.kill_master()
            if side is not Side.SERVER:
                self._buildbot.kill_worker()
            wait(down)
            self._buildbot.start()

    def freeze(self, side: Side, lasts: float) -> None:
        heard = send(self._processes(side), signal.SIGSTOP)
        wait(lasts)
        send(heard, signal.SIGCONT)

    def became(self) -> Mapping[str, Became]:
        done: dict[str, Counter[str]] = defaultdict(Counter)
        for revision, stage in map(_pair, self._effects.read_text().splitlines()):
            done[revision][stage] += 1
        outcomes: dict[str, dict[int, str]] = defaultdict(dict)
        for build in self._buildbot.builds():  # of one request, the last build counts
            outcomes[build.revision][build.request] = build.result
        return {
            self._revisions[revision]: Became(len(by), tuple(by.values()), dict(done[revision]))
            for revision, by in outcomes.items()
        }

    @property
    def effects(self) -> Path:
        return self._effects

    def quiet(self) -> bool:
        return all(self._buildbot.requests().values())


def _pair(line: str) -> tuple[str, str]:
    """What an effect is of: a run or a commit, and a stage."""
    of, stage, *_ = line.split()
    return of, stage
