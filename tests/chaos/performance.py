"""One performance: a burst of deliveries, the strikes of a schedule, and what is there when all is quiet again."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from tests.chaos.audit import Seen, problems
from tests.chaos.burst import Burst
from tests.chaos.pushes import deliveries
from tests.chaos.schedule import Kind, Strike, batches
from tests.chaos.theatre import Struck, Theatre
from tests.e2e.system import SECRET
from tests.waiting import wait_until
from turnout.core.errors import TransientError
from turnout.core.evolve import replay
from turnout.core.ports import RunRow
from turnout.core.topics import AGENT_REPORT, AGENT_RESULTS, PIPELINE_EVENTS, agent_topic
from turnout.redriving import dead_letters

DOUBLED = 0.25
"""The share of deliveries that GitHub sends again."""
LOOK = 0.25
"""Seconds between two looks at the store."""
UNMOVED = 45.0
"""Seconds without a run that ends after which the next strike comes all the same."""
JOBS_END = 60.0
"""Seconds that launched jobs get to end once all runs have."""
PATIENCE = 300.0
"""Seconds after the last strike within which all must have ended."""
FUNCTIONS = (PIPELINE_EVENTS, AGENT_RESULTS, AGENT_REPORT)
TASKS = (agent_topic("script"),)
RESIDENT = {"functions": FUNCTIONS, "agents.script": TASKS}
LAUNCHED = {"functions": (*FUNCTIONS, *TASKS)}


@dataclass(frozen=True)
class Outcome:
    """``finished``: when each run ended, in seconds since the epoch, in order; so is ``began``. ``lost``: reason → how
    many attempts were lost for it."""

    began: float
    ended: float
    struck: Sequence[Struck]
    finished: Sequence[float]
    runs: int
    attempts: int
    lost: Mapping[str, int]
    posts: int
    unanswered: int
    redelivered: int
    falls: int
    problems: Sequence[str]

    def recovered(self, struck: Struck) -> float | None:
        """Seconds from the strike's end to the next run that ended; None: none was left."""
        return next((at - struck.ended for at in self.finished if at > struck.ended), None)


@dataclass
class Performance:
    """``say`` is told each strike as it happens."""

    theatre: Theatre
    strikes: Sequence[Strike]
    seed: int
    runs: int
    say: Callable[[str], None] = print
    _struck: list[Struck] = field(default_factory=list)
    _still: Sequence[int] = ()
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def play(self) -> Outcome:
        began = time.time()
        burst = Burst(lambda: self.theatre.webhook, SECRET)
        burst.start()
        try:
            self._strike_all(burst)
            self._until_quiet(burst)
        finally:
            burst.stop()
        self._still = self._jobs_end()
        status = self.theatre.stop()
        wrong = problems(self._look(burst))
        if status != 0:
            wrong.append(f"the stack was told to stop and ended with status {status}")
        return self._outcome(began, burst, wrong)

    # --- strikes --------------------------------------------------------------------------------

    def _strike_all(self, burst: Burst) -> None:
        pushed = iter(deliveries(self.seed, self.runs, self.theatre.repositories, DOUBLED))
        first, *others = batches(self.runs, len(self.strikes))
        burst.send(list(islice(pushed, first)))
        under_way: list[threading.Thread] = []
        for strike, share in zip(self.strikes, others, strict=True):
            if not strike.together:
                for each in under_way:
                    each.join()
                under_way.clear()
                self._until_moving(burst)
            burst.send(list(islice(pushed, share)))
            if strike.kind is Kind.FULL and not self.theatre.disk:
                self.say(f"{strike.number:>3}  {strike.name}: left out, mounting a small disk needs root")
                continue
            threading.Event().wait(strike.pause)
            thread = threading.Thread(target=self._strike, args=(strike,), name=strike.name, daemon=True)
            thread.start()
            under_way.append(thread)
        for each in under_way:
            each.join()

    def _strike(self, strike: Strike) -> None:
        lasts = f" for {strike.lasts:g} s" if strike.lasts else ""
        self.say(f"{strike.number:>3}  {strike.name}{lasts}")
        struck = self.theatre.strike(strike)
        with self._guard:
            self._struck.append(struck)

    def _until_moving(self, burst: Burst) -> None:
        """Until a run has ended after the last strike, or there is none left, or none has ended for long."""
        since = max((each.ended for each in self._struck), default=0.0)

        def moving() -> bool:
            finished = self._finished()
            nothing_left = not burst.sending and len(finished) == len(burst.told)
            return nothing_left or any(at > since for at in finished)

        try:
            wait_until(moving, UNMOVED, "work goes on", poll=LOOK)
        except AssertionError:
            self.say(f"     nothing has ended for {UNMOVED:g} s")

    # --- what there is ----------------------------------------------------------------------------

    def _rows(self) -> Sequence[RunRow]:
        return self.theatre.seen.store.runs(limit=10 * self.runs)

    def _finished(self) -> list[float]:
        """When runs ended, in order; empty while the database is away."""
        try:
            rows = self._rows()
        except TransientError:
            return []
        return sorted(_seconds(row.finished_at) for row in rows if row.finished_at is not None)

    def _until_quiet(self, burst: Burst) -> None:
        """All accepted, all ended, all told; or patience is over, and the audit says what is missing."""
        deadline = time.monotonic() + PATIENCE
        for what in (self._all_ended(burst), self._all_told, self._all_taken):
            try:
                wait_until(what, max(deadline - time.monotonic(), 1.0), "it is quiet", poll=LOOK)
            except AssertionError as error:
                self.say(f"     {error}")

    def _jobs_end(self) -> list[int]:
        """Those launched jobs that do not end by themselves."""
        try:
            wait_until(lambda: not self.theatre.jobs(), JOBS_END, "jobs end", poll=LOOK)
        except AssertionError:
            pass  # the audit says so
        return self.theatre.jobs()

    def _all_ended(self, burst: Burst) -> Callable[[], bool]:
        return lambda: not burst.sending and len(self._finished()) >= self.runs

    def _all_told(self) -> bool:
        messages = self._messages()
        return len(messages) >= self.runs and all("running" not in text.lower() for _, text in messages)

    def _all_taken(self) -> bool:
        return not self._unpublished() and not any(self._lag().values())

    def _messages(self) -> list[tuple[str, str]]:
        return [
            (str(each.get("metadata", {}).get("event_payload", {}).get("run", "")), str(each["text"]))
            for each in self.theatre.system.messages()
        ]

    def _unpublished(self) -> int:
        return len(self.theatre.seen.store.unpublished())

    def _lag(self) -> dict[str, int]:
        bus = self.theatre.seen.bus
        groups = LAUNCHED if self.theatre.launched else RESIDENT
        return {group: sum(bus.lag(group, topics).values()) for group, topics in groups.items()}

    def _look(self, burst: Burst) -> Seen:
        store = self.theatre.seen.store
        rows = self._rows()
        runs = [run for row in rows if (run := store.load(row.id)) is not None]
        letters = dead_letters(self.theatre.seen.bus)
        return Seen(
            told={delivery: frozenset(ids) for delivery, ids in burst.told.items()},
            deliveries=store.deliveries(limit=10 * self.runs),
            runs=runs,
            replayed={run.id: replay([each.event for each in store.events(run.id)]) for run in runs},
            effects=self.theatre.system.effects.read_text().splitlines(),
            messages=self._messages(),
            dead_letters=[f"{each.record.topic}: {each.reason}" for each in letters],
            open_attempts=[each.id for run in runs if run.finished for each in store.attempts(run.id)],
            unpublished=self._unpublished(),
            lag=self._lag(),
            left_over=[*_left_over(self.theatre.system.wiring.settings.home), *self._jobs_left()],
        )

    def _jobs_left(self) -> list[str]:
        """A job that nobody wants any more hears so from the gateway, and where that is gone, it waits for its pass's
        end: all of them must have ended while it was there."""
        return [f"job {pid} still runs" for pid in self._still]

    def _outcome(self, began: float, burst: Burst, wrong: Sequence[str]) -> Outcome:
        store = self.theatre.seen.store
        loaded: list[Any] = [store.load(row.id) for row in self._rows()]
        tasks = [task for run in loaded for _, task in run.tasks()]
        finished = self._finished()
        return Outcome(
            began=began,
            ended=max(finished, default=time.time()),
            struck=sorted(self._struck, key=lambda each: each.strike.number),
            finished=finished,
            runs=len(loaded),
            attempts=sum(len(task.attempts) for task in tasks),
            lost=Counter(
                _general(each.result.reason)
                for task in tasks
                for each in task.attempts
                if each.result is not None and each.result.lost
            ),
            posts=burst.posts,
            unanswered=burst.unanswered,
            redelivered=burst.redelivered,
            falls=self.theatre.falls,
            problems=wrong,
        )


def _seconds(at: datetime | None) -> float:
    return at.timestamp() if at is not None else 0.0


def _general(reason: str) -> str:
    """A reason without what is different each time."""
    return re.sub(r"\S*[0-9a-f]{8}-\S*|\S*/\S*|\d+", "…", reason)


def _left_over(home: Path) -> list[str]:
    """What a stack that has stopped in good order leaves to nobody."""
    patterns = ("spool/*", "attempts/*", "claims/running/*", "artifacts/.incoming/*")
    return [str(path.relative_to(home)) for pattern in patterns for path in home.glob(pattern)]
