"""Machines with resident agents, and the jobs of a launcher: the production loops, around simulated work.

`agents.sdk.consuming` (the fence), `spool` (results on their way), `slots`, `live` (heartbeats) and `orphans` run as
they are. Simulated is what has an operating system under it: the disk, the locks on claims, and the work of an attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, cast

from agents.sdk import answers, consuming, orphans
from agents.sdk.consuming import Consuming, Worker
from agents.sdk.live import Live
from agents.sdk.orphans import Note
from agents.sdk.slots import Slots
from agents.sdk.spool import Spool, Spooled
from tests.simulation import threads
from tests.simulation.buses import ProcessBus
from tests.simulation.faults import LOCAL
from tests.simulation.kernel import EPOCH, Process, Task
from tests.simulation.threads import Event
from tests.simulation.wires import CLAIMS, Wire
from turnout.core.errors import TransientError, TurnoutError
from turnout.core.messages import TaskFinished, TaskRequested
from turnout.core.model import Outcome
from turnout.core.ports import Claims, ClaimState, JobState
from turnout.core.result import Result

LOOK = 2.0
"""Seconds between two looks for a mark to cancel."""


@dataclass(frozen=True, slots=True)
class Work:
    """What an attempt will be like. ``silent``: no heartbeat is sent. ``deaf``: an order to stop is not heard.

    ``killed``: its process is killed after ``seconds``, by the kernel as it were. ``stillborn``: a job that is launched
    and never begins.
    """

    seconds: float
    outcome: Outcome
    silent: bool = False
    deaf: bool = False
    killed: bool = False
    stillborn: bool = False


@dataclass
class Effects:
    """What was really done in the world, by attempt: this is what must not happen twice."""

    begun: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    said: dict[str, list[Result]] = field(default_factory=dict)

    def begin(self, attempt: str, worker: str, machine: str) -> None:
        self.begun.setdefault(attempt, []).append((worker, machine))

    def end(self, attempt: str, result: Result) -> None:
        self.said.setdefault(attempt, []).append(result)


@dataclass
class Claim:
    state: str = "free"
    owner: Process | None = None


@dataclass
class Home:
    """One machine's disk: it outlives all processes."""

    name: str
    claims: dict[str, Claim] = field(default_factory=dict)
    cancelled: dict[str, None] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)
    spooled: dict[str, bytes] = field(default_factory=dict)


class HomeClaims:
    """`turnout.adapters.claims.FileClaims`, with the life of a process in place of the lock on a file."""

    def __init__(self, home: Home, process: Process) -> None:
        self._home = home
        self._me = process

    def claim(self, attempt: str, worker: str) -> bool:
        found = self._found(attempt)
        if found.state in ("running", "finished"):
            return False
        if (
            found.state == "claimed"
            and found.owner is not self._me
            and found.owner is not None
            and found.owner.alive
        ):
            raise TransientError(f"attempt {attempt} is held by another", retry_after=0.2)
        found.state, found.owner = "claimed", self._me
        return True

    def release(self, attempt: str) -> None:
        found = self._found(attempt)
        if found.state == "claimed" and found.owner is self._me:
            found.state, found.owner = "free", None

    def state(self, attempt: str) -> ClaimState:
        found = self._found(attempt)
        lives = found.owner is not None and found.owner.alive
        if found.state == "claimed":
            return "claimed" if lives else "free"
        if found.state == "running":
            return "running" if lives else "lost"
        return "finished" if found.state == "finished" else "free"

    def running(self, attempt: str) -> None:
        found = self._found(attempt)
        assert found.state == "claimed", f"running, though {found.state}"
        assert found.owner is self._me, "running, though another's"
        found.state = "running"

    def finished(self, attempt: str) -> None:
        self._found(attempt).state = "finished"

    def cancel(self, attempt: str) -> None:
        self._home.cancelled[attempt] = None

    def cancelled(self, attempt: str) -> bool:
        return attempt in self._home.cancelled

    def orphans(self) -> Sequence[str]:
        return [each for each in sorted(self._home.claims) if self.state(each) == "lost"]

    def prune(self, older_than: float) -> int:
        return 0

    def _found(self, attempt: str) -> Claim:
        return self._home.claims.setdefault(attempt, Claim())


class HomeSpool(Spool):
    """Results wait on the machine's disk."""

    def __init__(self, home: Home, wire: Wire, producer: Any, sent: Callable[[str], None]) -> None:
        self._disk = home
        self._wire = wire
        super().__init__(cast(Any, _Folder(home, "")), producer, sent)

    def start(self) -> list[str]:
        for text in self._disk.spooled.values():
            self._waiting.append(Spooled.model_validate_json(text))
        self._thread.start()
        return [each.message.attempt for each in self._waiting]

    def send(self, message: TaskFinished, agent: str) -> None:
        spooled = Spooled(agent=agent, message=message)
        text = spooled.model_dump_json().encode()
        self._wire.call(
            "disk", "keep the result", LOCAL, lambda: self._disk.spooled.__setitem__(message.attempt, text)
        )
        with self._changed:
            self._waiting.append(spooled)
            self._changed.notify_all()

    def _path(self, attempt: str) -> Any:
        return _Kept(self._disk, attempt)


@dataclass(frozen=True)
class _Kept:
    home: Home
    attempt: str

    def unlink(self) -> None:
        self.home.spooled.pop(self.attempt, None)


@dataclass(frozen=True)
class _Folder:
    """An attempt's folder; what lies in it is the note."""

    home: Home
    attempt: str

    def mkdir(self, **_: object) -> None: ...

    def __truediv__(self, name: str) -> _Folder:
        return self

    def read_bytes(self) -> bytes:
        note = self.home.notes.get(self.attempt)
        if note is None:
            raise FileNotFoundError(self.attempt)
        return note


@dataclass(frozen=True)
class Host:
    """What `agents.sdk.hosting.AttemptHost` is to a worker."""

    wire: Wire
    home: Home
    claims: Claims
    live: Live
    clock: Process
    worker: str
    agents: dict[str, str]
    effects: Effects
    work: Callable[[TaskRequested], Work]

    def begin(self, task: TaskRequested) -> Attempt:
        return Attempt(self, task)


class Attempt:
    """What `agents.sdk.hosting.HostedAttempt` is: it works for a while, says that it lives, and how it ended."""

    def __init__(self, host: Host, task: TaskRequested) -> None:
        self.task = task
        self.folder = _Folder(host.home, task.attempt)
        self._host = host
        self._order: tuple[str, str] | None = None
        self._waiting: Task | None = None

    def stop(self, why: Literal["cancelled", "lost"], reason: str) -> None:
        if self._order is None:
            self._order = (why, reason)
            if self._waiting is not None:
                self._host.clock.kernel.wake(self._waiting)

    def run(self) -> TaskFinished:
        host, task = self._host, self.task
        host.effects.begin(task.attempt, host.worker, host.home.name)
        result = self._work(host.work(task))
        host.effects.end(task.attempt, result)
        if host.wire.tell is not None:
            host.wire.tell(host.clock.name, f"ends attempt {task.number} of {task.task}: {result.summary}")
        return answers.finished(task, host.worker, host.clock.now(), result)

    def _work(self, work: Work) -> Result:
        host, task, kernel = self._host, self.task, self._host.clock.kernel
        if host.wire.tell is not None:
            host.wire.tell(
                host.clock.name, f"begins attempt {task.number} of {task.task} of run {task.run[:4]}"
            )
        start = kernel.now
        end = start + min(work.seconds, task.timeout)
        beat_at, beats = start + task.heartbeat, 0
        self._waiting = kernel.task
        while kernel.now < end:
            kernel.wait(max(0.0, min(end, beat_at, kernel.now + LOOK) - kernel.now))
            if self._order is None and host.claims.cancelled(task.attempt):
                self._order = ("cancelled", "it was cancelled")
            if self._order is not None and not work.deaf:
                kernel.sleep(0.5)
                why, reason = self._order
                outcome = Outcome.CANCELLED if why == "cancelled" else Outcome.ERROR
                return self._result(outcome, why, lost=why == "lost", reason=reason)
            if kernel.now >= beat_at:
                beats += 1
                beat_at += task.heartbeat
                if not work.silent:
                    host.live.beat(answers.heartbeat(task, host.worker, host.clock.now(), beats))
        self._waiting = None
        if work.killed:
            return self._result(Outcome.ERROR, "killed", lost=True)
        if work.seconds > task.timeout:
            return self._result(Outcome.TIMED_OUT, "timed out")
        return self._result(work.outcome, work.outcome.value)

    def _result(self, outcome: Outcome, summary: str, *, lost: bool = False, reason: str = "") -> Result:
        mark = {"by": self.task.attempt} if outcome is Outcome.SUCCESS else {}
        return Result(outcome=outcome, summary=summary, reason=reason, lost=lost, outputs=mark)


DRAIN = 4.0
"""Seconds that attempts get to end when their worker is stopped."""


def resident(
    host: Host, bus: ProcessBus, spool: HomeSpool, kinds: Collection[str], slots: int, stopped: Event
) -> None:
    """The main task of a worker's process, until it dies, is ``stopped``, or can't go on: `ResidentAgents.run`."""
    producer = bus.producer()
    sent = spool.start()
    orphans.speak_for_orphans(host.claims, cast(Any, host.home), host.clock, spool, set(sent))
    worker = Worker(
        host=cast(Any, host),
        bus=cast(Any, bus),
        producer=producer,
        spool=spool,
        slots=Slots(slots),
        sandbox="none",
    )
    loops = [Consuming(worker, kind, stopped.set) for kind in sorted(kinds)]
    for each in loops:
        each.start()
    stopped.wait()
    for each in loops:
        each.stop()
    for each in loops:
        each.join()
    until = host.clock.monotonic() + DRAIN
    while worker.running() and host.clock.monotonic() < until:
        host.clock.kernel.sleep(0.5)
    for attempt in worker.running():
        attempt.stop("lost", "the worker that ran it was stopped")
    worker.join(20.0)
    spool.close()


class Jobs:
    """A runtime that launches jobs: each once by its name, whatever becomes of it. It outlives the launcher.

    ``start`` also gets what is to be called when the job has ended.
    """

    def __init__(self, start: Callable[[TaskRequested, Callable[[], None]], Callable[[], None]]) -> None:
        self._start = start
        self._cancel: dict[str, Callable[[], None]] = {}
        self.ended_at: dict[str, datetime] = {}

    def launch(self, task: TaskRequested) -> bool:
        if task.attempt in self._cancel:
            return False
        self._cancel[task.attempt] = self._start(task, partial(self._ended, task.attempt))
        return True

    def _ended(self, attempt: str) -> None:
        kernel = threads.kernel()
        self.ended_at[attempt] = EPOCH + timedelta(seconds=kernel.now)

    def state(self, attempt: str) -> JobState:
        if attempt not in self._cancel:
            return JobState("unknown")
        ended = self.ended_at.get(attempt)
        if ended is None:
            return JobState("running")
        return JobState("ended", "it was killed", since=ended, log="its last words\n")

    def cancel(self, attempt: str) -> None:
        found = self._cancel.get(attempt)
        if found is not None:
            found()


def job(host: Host, spool: HomeSpool, attempt: Attempt, producer: Any, patience: float) -> None:
    """The main task of a job's process: say that it started, work, say how it ended (`agents.sdk.job.run`)."""
    task, kernel = attempt.task, host.clock.kernel
    if host.work(task).stillborn:
        return
    spool.start()
    began = answers.started(task, host.worker, host.clock.now(), "none")
    until = kernel.now + patience
    while True:
        try:
            producer.publish([began])
            break
        except TurnoutError:
            if kernel.now > until:
                return
            kernel.sleep(1.0)
    spool.send(attempt.run(), task.agent)


def claims_of(home: Home, wire: Wire) -> Claims:
    return cast(Claims, wire.port(HomeClaims(home, wire.process), "claims", CLAIMS))


def leave_note(home: Any, worker: str, task: TaskRequested) -> None:
    home.notes[task.attempt] = Note(worker=worker, task=task).model_dump_json().encode()


def remove_folder(folder: Any) -> None:
    folder.home.notes.pop(folder.attempt, None)


def folder_of(home: Any, attempt: str) -> Any:
    return _Folder(home, attempt)


ON_DISK = (
    (consuming, "leave_note", leave_note),
    (consuming, "remove_folder", remove_folder),
    (orphans, "folder_of", folder_of),
)
"""What touches a real disk in production code, and what stands for it here."""
