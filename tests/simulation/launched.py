"""Jobs that are launched with their pass alone: a platform that loses, doubles, evicts and kills them, and the code of
such a job as it is in production (`agents.sdk.remote_job` and all below it), around simulated work.

Simulated is what has an operating system under it: the job's disk, its signals, and the process that runs tools.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from agents.sdk import job, remote, remote_client, remote_job, remote_log
from agents.sdk.live import Live
from agents.sdk.remote_log import RemoteLog
from agents.sdk.remote_pass import Pass
from tests.simulation import threads
from tests.simulation.doorway import HTTPX, RANDOM, SECRET_OF_A_PROJECT, URL, JobProcess, session_of
from tests.simulation.faults import LOCAL
from tests.simulation.kernel import EPOCH
from tests.simulation.machines import Attempt, Home, HomeSpool, Host, Work
from turnout.core import events as e
from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import PermanentError, TransientError, TurnoutError
from turnout.core.messages import TaskFinished, TaskRequested
from turnout.core.model import Outcome
from turnout.core.policy import gateway_token
from turnout.core.ports import Artifacts, JobState, Secrets
from turnout.core.result import Artifact, Result
from turnout.core.run import Run
from turnout.gateway import Passes
from turnout.gateway.visits import mark_of

if TYPE_CHECKING:
    from tests.simulation.world import World

GRACE = 10.0
"""Seconds between the order to end and the end of a container."""
PIECE = 96  # bytes of a log that are sent at once here, so that there are many
MAIN = "main"


# --- the runtime --------------------------------------------------------------------------------------


@dataclass
class Container:
    """``reached``: its main program has begun."""

    process: JobProcess
    log: RemoteLog | None = None
    written: bytes = b""
    flushed: bool = True
    ended_at: float | None = None
    code: int | None = None


@dataclass
class Containers:
    """The platform that containers run on; it outlives every launcher. ``secrets``: to which marks they were given."""

    world: World
    of: dict[str, list[Container]] = field(default_factory=dict)
    secrets: dict[str, set[str]] = field(default_factory=dict)
    _asked: int = 0

    def launch(self, task: TaskRequested, environ: dict[str, str]) -> bool:
        """Once by its name; but a platform can forget a name, and then there are two."""
        if task.attempt in self.of and not self.luck(0.1):
            return False
        self.of.setdefault(task.attempt, [])
        count = 2 if self.luck(0.05) else 1
        for _ in range(count):
            self._start(task, environ)
        return True

    def luck(self, probability: float) -> bool:
        """Whether this goes wrong now."""
        world = self.world
        self._asked += 1
        hit = world.kernel.chance_of("luck of the platform").random() < probability
        return hit and world.faults.planned(f"platform#{self._asked}", world.kernel.now)

    def _start(self, task: TaskRequested, environ: dict[str, str]) -> None:
        world, kernel = self.world, self.world.kernel
        of = self.of[task.attempt]
        name = f"job-{task.attempt[:8]}-{len(of) + 1}"
        chance = kernel.chance_of(f"fate of {name}")
        process = JobProcess(world, name)
        found = Container(process)
        of.append(found)
        if self.luck(0.05):
            world.tell("the platform", f"never starts {name}")
            process.alive = False
            found.ended_at = kernel.now
            return
        world.processes[name] = process
        process.on_death.append(partial(self._gone, found))
        given = Pass(
            environ["TURNOUT_GATEWAY_URL"], environ["TURNOUT_ATTEMPT"], environ["TURNOUT_ATTEMPT_TOKEN"]
        )
        late = 0.1 + (20.0 if self.luck(0.2) else 0.5) * chance.random() ** 2
        kernel.after(
            late, lambda: process.alive and kernel.spawn(process, partial(self._main, found, given), MAIN)
        )
        for what, act in (("evicts", self._evict), ("kills", self._kill), ("suspends", self._suspend)):
            after = late + 25.0 * chance.random()
            if self.luck(0.06):
                kernel.after(after, partial(act, found, what))

    def _main(self, found: Container, given: Pass) -> None:
        """`agents.sdk.remote_job.main`."""
        process = found.process
        try:
            ran = remote_job.run(given, cast(Any, Disk(process.name, process, found)), agents=AGENTS)
            found.code = 0
            said = "ends" if ran else "ends: it is not wanted"
        except TurnoutError as error:
            found.code = 1
            said = f"ends without having started: {error}"
        self.world.tell(process.name, said)
        process.kernel.kill(process)

    def _gone(self, found: Container) -> None:
        if found.ended_at is None:  # one that is gone already can be killed once more
            found.ended_at = self.world.kernel.now
        self.world.processes.pop(found.process.name, None)

    def _evict(self, found: Container, what: str) -> None:
        if found.process.alive:
            self.world.tell("the platform", f"{what} {found.process.name}")
            self._end(found)

    def _end(self, found: Container) -> None:
        for order in found.process.orders:
            self.world.kernel.spawn(found.process, order, "signal")
        self.world.kernel.after(GRACE, lambda: self.world.kernel.kill(found.process))

    def _kill(self, found: Container, what: str) -> None:
        if found.process.alive:
            self.world.tell("the platform", f"{what} {found.process.name}")
            self.world.kernel.kill(found.process)

    def _suspend(self, found: Container, what: str) -> None:
        process, kernel = found.process, self.world.kernel
        if process.alive:
            self.world.tell("the platform", f"{what} {process.name}")
            process.frozen_until = kernel.now + 60.0 * process.luck.random()

    def cancel(self, attempt: str) -> None:
        for found in self.of.get(attempt, ()):
            if found.process.alive:
                self._end(found)

    def state(self, attempt: str) -> JobState:
        found = self.of.get(attempt)
        if not found:
            return JobState("unknown")
        ended = self.ended_at(attempt)
        if ended is None:
            return JobState("running")
        knows = len(found) > 1 or int(attempt[0], 16) % 2  # not every platform knows since when
        return JobState(
            "ended", "its containers are gone", since=EPOCH + timedelta(seconds=ended) if knows else None
        )

    def ended_at(self, attempt: str) -> float | None:
        """Seconds since the world began; None: one of them lives."""
        times = [each.ended_at for each in self.of.get(attempt, ())]
        known = [each for each in times if each is not None]
        return max(known, default=None) if len(known) == len(times) else None

    def living(self) -> list[str]:
        return [each.process.name for of in self.of.values() for each in of if each.process.alive]

    # --- what must hold -----------------------------------------------------------------------------

    def handed_out(self, attempt: str, mark: str) -> None:
        """Secrets were given to the job with this mark."""
        worker = self.world.watch.workers.get(attempt, "")
        self.secrets.setdefault(attempt, set()).add(mark)
        if not worker.endswith(mark):
            self.world.watch.fail(
                "secrets are for the job whose start is recorded",
                f"attempt {attempt[:8]} was started by {worker}",
            )

    def ended(self, event: e.AttemptFinished, run: Run) -> None:
        """A result counts now."""
        kept = self.world.artifacts.kept
        for each in event.result.artifacts:
            content = kept.get(each.key)
            if content is None or hashlib.sha256(content).hexdigest() != each.sha256:
                self.world.watch.fail(
                    "every artifact that is announced is whole",
                    f"{each.name} of {event.task} of run {run.id[:4]}",
                )

    def checks(self) -> Iterator[tuple[str, str]]:
        """In the end."""
        for attempt, found in self.of.items():
            yield from self._one_start(attempt)
            yield from self._log(attempt, found)

    def _one_start(self, attempt: str) -> Iterator[tuple[str, str]]:
        name, world = "one job's start counts", self.world
        begun = Counter(worker for worker, _ in world.effects.begun.get(attempt, ()))
        for worker in begun:
            if not world.watch.workers.get(attempt, "").endswith(mark_of(session_of(worker))):
                yield (
                    name,
                    f"attempt {attempt[:8]} ran in {worker}, whose start is not the one that was recorded",
                )
        if sum(begun.values()) > 1:
            yield name, f"attempt {attempt[:8]} ran in {' and '.join(begun)}"

    def _log(self, attempt: str, found: list[Container]) -> Iterator[tuple[str, str]]:
        name, world = "a log has no gap and nothing twice", self.world
        run = world.watch.states.get(world.watch.attempts.get(attempt, ""))
        of = run.attempt(attempt) if run else None
        if run is None or of is None:
            return
        _, task, this = of
        kept = world.artifacts.kept.get(attempt_key(run.id, task.id, this.number), b"")
        mine = [each for each in found if this.worker.endswith(mark_of(session_of(each.process.name)))]
        if not mine or not this.worker:
            if kept:
                yield name, f"attempt {attempt[:8]} never started, and has a log"
            return
        wrote = mine[0]
        if not wrote.written.startswith(kept):
            same = next(
                (n for n, pair in enumerate(zip(kept, wrote.written, strict=False)) if len({*pair}) > 1), 0
            )
            seen = kept[max(0, same - 20) : same + 20]
            yield name, f"attempt {attempt[:8]}, at byte {same} of {len(kept)}: {seen!r}"
        elif wrote.flushed and world.watch.ended.get(attempt) == "agent" and kept != wrote.written:
            yield (
                name,
                f"attempt {attempt[:8]} ended well, and its log at byte {len(kept)} of {len(wrote.written)}",
            )


@dataclass(frozen=True)
class ContainerRuntime:
    """One launcher's client of the platform."""

    containers: Containers
    passes: Passes

    def launch(self, task: TaskRequested) -> bool:
        environ = self.passes.environment(task)
        assert environ["TURNOUT_GATEWAY_URL"] == URL
        if self.containers.luck(0.04):
            expires = self.passes.clock.now() + timedelta(seconds=15)
            environ["TURNOUT_ATTEMPT_TOKEN"] = gateway_token(self.passes.key, task.attempt, expires)
        return self.containers.launch(task, environ)

    def cancel(self, attempt: str) -> None:
        self.containers.cancel(attempt)

    def state(self, attempt: str) -> JobState:
        return self.containers.state(attempt)


# --- a job's machine ------------------------------------------------------------------------------------


class Disk(Home):
    """Of one container, gone with it."""

    def __init__(self, name: str, process: JobProcess, container: Container) -> None:
        super().__init__(name)
        self.process = process
        self.container = container

    def __truediv__(self, name: str) -> Disk:
        return self

    def open(self, *_: object, **__: object) -> _LogFile:
        return _LogFile(self.container)


class _LogFile(io.BytesIO):
    def __init__(self, container: Container) -> None:
        super().__init__()
        self._container = container

    def write(self, content: Any, /) -> int:
        found = self._container
        found.process.wire.call("disk", "write the log", LOCAL, lambda: None)
        found.written += bytes(content)
        return super().write(content)


class _Log(RemoteLog):
    """Remembers whether all of it got through."""

    def __init__(self, client: Any, file: Any) -> None:
        self._of = _here().container
        super().__init__(client, file)

    def flush(self, timeout: float) -> bool:
        through = super().flush(timeout)
        self._of.flushed = through and not self._ended
        return through


def _here() -> Disk:
    """The disk of whoever asks."""
    process = threads.kernel().process
    assert isinstance(process, JobProcess)
    return cast(Disk, process.disk)


@contextmanager
def room(home: Disk, _attempt: str) -> Iterator[Disk]:
    home.process.disk = home
    yield home


def spool(folder: Disk, producer: Any, sent: Any) -> HomeSpool:
    return HomeSpool(folder, folder.process.wire, producer, sent)


class _Forks:
    def __init__(self, *_: object) -> None: ...

    def start(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class RemoteHost(Host):
    """`agents.sdk.hosting.AttemptHost`, for a job."""

    artifacts: Artifacts
    secrets: Secrets
    process: JobProcess

    def begin(self, task: TaskRequested) -> RemoteAttempt:
        return RemoteAttempt(self, task)


def host(**given: Any) -> RemoteHost:
    process = given["home"].process
    world = process.world
    return RemoteHost(
        wire=process.wire,
        home=given["home"],
        claims=given["claims"],
        live=cast(Live, given["live"]),
        clock=process,
        worker=process.name,
        agents=given["agents"],
        effects=world.effects,
        work=world._work,
        artifacts=given["artifacts"],
        secrets=given["secrets"],
        process=process,
    )


class RemoteAttempt(Attempt):
    """As `agents.sdk.hosting.HostedAttempt` goes about it: what it is granted, the log, the artifacts, the result."""

    def __init__(self, host: RemoteHost, task: TaskRequested) -> None:
        super().__init__(host, task)
        self._job = host
        self._own = partial(attempt_key, task.run, task.task, task.number)
        self._log_ended = False

    def run(self) -> TaskFinished:
        world = self._job.process.world
        world.working += 1
        try:
            return super().run()
        finally:
            world.working -= 1

    def _work(self, work: Work) -> Result:
        task, process = self.task, self._job.process
        world, kernel = process.world, process.kernel
        if work.silent:
            world.faults.cuts[(process.name, "gateway")] = kernel.now + work.seconds
        if work.killed and not world.scenario.peaceful:
            kernel.after(work.seconds, lambda: kernel.kill(process))
        try:
            names = task.secrets if task.trusted else ()
            given = self._job.secrets.resolve(task.project, task.environment, names)
            assert set(given.values()) <= {SECRET_OF_A_PROJECT}
        except TurnoutError as error:
            return self._result(
                Outcome.ERROR, error.message, lost=isinstance(error, TransientError), reason=str(error)
            )
        self._log(f"{process.name} takes up attempt {task.number} of {task.task} — été\n")
        result = super()._work(work)
        self._log(
            "".join(
                f"line {number} of {process.name}: ça va\n" for number in range(process.chance.randrange(6))
            )
        )
        return self._with_artifacts(result)

    def _log(self, text: str) -> None:
        if text and not self._log_ended:
            try:
                self._job.artifacts.append(self._own(), text.encode())
            except TurnoutError:
                self._log_ended = True

    def _with_artifacts(self, result: Result) -> Result:
        chance = self._job.process.chance
        announced = []
        for number in range(chance.choice((0, 1, 1, 2))):
            content = f"{self._job.process.name} {number} ".encode() * 40
            key = self._own(f"out/{number}.txt")
            problem: TurnoutError | None = None
            for pause in (0.2, 1.0, None):
                try:
                    kept = self._job.artifacts.put(key, content, "text/plain")
                    announced.append(
                        Artifact(name=f"out/{number}.txt", key=key, size=kept.size, sha256=kept.sha256)
                    )
                    problem = None
                    break
                except (TransientError, PermanentError) as error:
                    problem = error
                    if pause is None or isinstance(error, PermanentError):
                        break
                    self._job.process.kernel.sleep(pause)
            if problem is not None and result.outcome is Outcome.SUCCESS:
                result = result.with_(outcome=Outcome.ERROR, lost=True, summary=problem.message)
        return result.with_(artifacts=tuple(announced))


def _signal(_number: int, handler: Any) -> None:
    _here().process.orders.append(handler)


AGENTS = {"script": "", "test": "", "deploy": ""}
OS = SimpleNamespace(uname=lambda: SimpleNamespace(nodename=threads.kernel().process.name), getpid=lambda: 1)
PLACE = SimpleNamespace(sandbox=lambda _: SimpleNamespace(describe=lambda: "none"))


def _clock() -> Any:
    return threads.kernel().process


IN_JOBS = (
    (job, "ForkServer", _Forks),
    (job, "AttemptHost", host),
    (job, "Spool", spool),
    (job, "os", OS),
    (job, "environment", PLACE),
    (job, "leave_note", lambda *_: None),
    (job, "remove_folder", lambda *_: None),
    (job, "signal", SimpleNamespace(signal=_signal, SIGTERM=15)),
    (remote_job, "room", room),
    (remote_job, "RemoteLog", _Log),
    (remote_job, "_Clock", _clock),
    (remote_client, "httpx", HTTPX),
    (remote_client, "secrets", RANDOM),
    (remote_log, "PIECE", PIECE),
)
"""What touches an operating system in a job's production code, and what stands for it here."""
JOB_MODULES = (job, remote, remote_client, remote_job, remote_log)
"""Production modules of a job with threads or a clock of their own."""
