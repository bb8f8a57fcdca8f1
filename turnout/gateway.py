"""The use case of the gateway: what a launched job, which holds its attempt's pass and nothing else, may ask and say.

The store decides, not the job: which attempt is the current one, whether it has started, and which job's start was
recorded. So whatever comes twice, late, or from a second job of the same attempt, has one effect. What is said goes to
the topics as a resident worker says it, under the same envelope ids.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from turnout.core import messages as m
from turnout.core.allowance import Allowance
from turnout.core.artifact_keys import LOG_NAME, attempt_key
from turnout.core.errors import NotFound, PermanentError, TransientError, TurnoutError
from turnout.core.events import Timing
from turnout.core.ids import message_id
from turnout.core.model import Value
from turnout.core.outgoing import task_request
from turnout.core.policy import attempt_token, check_gateway_token, gateway_token, pass_expiry
from turnout.core.ports import Clock, Producer, Secrets, Store, Uploads
from turnout.core.result import Result
from turnout.core.run import Attempt, Run, Task, TaskStatus
from turnout.core.topics import AGENT_LOGS, AGENT_RESULTS

REMEMBERED = 4096  # attempts whose allowances one process remembers
LIVE_TIMEOUT = 2.0  # seconds that live log chunks wait for the bus; the log itself is kept before
SHORTEST_SESSION = 16  # characters
MAX_CHUNK = 64 * 1024
"""Bytes of one log chunk."""
MAX_BASELINE = 16 * 1024 * 1024  # bytes
MAX_RESULT = 900_000
"""Bytes of one result as JSON; with its envelope it must fit into a record of the bus."""
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class NoPass(PermanentError):
    """No token, or one that has expired."""


class WrongPass(PermanentError):
    """A token that nobody issued for this attempt."""


class NotWanted(PermanentError):
    """Another job has this attempt, or it has ended: whoever asks should end, too, and not as a failure."""


class NotNow(PermanentError):
    """The attempt has not been recorded as started yet, or is to stop."""


class TooLarge(PermanentError):
    """More than is taken."""


class TooMuch(TransientError):
    """More than is taken in this time."""


class Gap(PermanentError):
    """A piece of a log that does not follow on what is kept; ``have``: bytes that are."""

    def __init__(self, have: int) -> None:
        super().__init__(f"{have} bytes of the log are kept", "go on from there")
        self.have = have


# --- what is asked and answered -------------------------------------------------------------------


class Standing(Value):
    """``state``: whose the attempt is. ``waiting``: no start is recorded. ``stop``: why it is to end, empty: go on."""

    state: Literal["waiting", "yours", "others"]
    stop: str = ""


class Start(Value):
    worker: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
    sandbox: Annotated[str, Field(max_length=1000)] = ""


class Beat(Value):
    """``number`` counts an attempt's heartbeats."""

    number: Annotated[int, Field(ge=0, le=2**53)]


class Chunk(Value):
    """``sequence`` counts the chunks from 0; ``offset``: bytes of the log before this one. ``text`` is masked."""

    sequence: Annotated[int, Field(ge=0, le=2**53)]
    offset: Annotated[int, Field(ge=0, le=2**53)]
    text: str


class Announced(Value):
    """A file to come; ``size`` in bytes."""

    name: Annotated[str, Field(min_length=1, max_length=500)]
    size: Annotated[int, Field(ge=0, le=2**53)]
    sha256: _Sha256
    media_type: Annotated[str, Field(pattern=r"^[\w.+-]+/[\w.+-]+(; ?[\w.+=\"-]+)*$", max_length=200)] = (
        "application/octet-stream"
    )


class Answer(Value):
    result: Result


class CheckoutCredential(Value):
    """What a remote asks for; short-lived."""

    username: str
    password: str = Field(repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, or so many a second; a burst is four seconds' worth. ``requests``: a second, of one attempt."""

    log: int = 64_000_000
    log_rate: float = 4_000_000
    artifact: int = 200_000_000
    artifacts: int = 1_000_000_000
    artifact_count: int = 2000
    requests: float = 100


@dataclass(frozen=True, slots=True)
class Visit:
    """A job that has shown its pass. ``mark``: what tells this job from others of the same attempt."""

    run: Run
    task: Task
    attempt: Attempt
    agent: str
    mark: str

    @property
    def state(self) -> Literal["waiting", "yours", "others"]:
        if self.task.status is TaskStatus.LAUNCHED:
            return "waiting"
        return "yours" if self.attempt.worker.endswith(self.mark) else "others"

    @property
    def standing(self) -> Standing:
        return Standing(state=self.state, stop=self.attempt.cancel_reason)


@dataclass(frozen=True)
class Passes:
    """What a job is launched with. ``url``: of the gateway, as the job reaches it."""

    url: str
    key: bytes
    clock: Clock
    timing: Timing = field(default_factory=Timing)

    def environment(self, task: m.TaskRequested) -> dict[str, str]:
        """Everything that the job of this attempt may know, as environment variables."""
        expires = pass_expiry(self.timing, task.timeout, self.clock.now())
        return {
            "TURNOUT_GATEWAY_URL": self.url,
            "TURNOUT_ATTEMPT": task.attempt,
            "TURNOUT_ATTEMPT_TOKEN": gateway_token(self.key, task.attempt, expires),
        }


@dataclass(frozen=True)
class Gateway:
    """``credential``: for a checkout, or None where none is needed. Thread-safe."""

    store: Store
    producer: Producer
    artifacts: Uploads
    secrets: Secrets
    clock: Clock
    key: bytes
    limits: Limits = field(default_factory=Limits)
    credential: Callable[[m.Checkout], CheckoutCredential | None] = field(default=lambda _: None)
    _allowed: OrderedDict[tuple[str, str], Allowance] = field(default_factory=OrderedDict, init=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False)
    _logs: tuple[threading.Lock, ...] = field(
        default_factory=lambda: tuple(threading.Lock() for _ in range(64)), init=False
    )

    def enter(self, attempt: str, token: str, session: str) -> Visit:
        """``session``: a secret of the job's own, made when it begins; never shown to anybody else.

        Raises: NoPass, WrongPass, PermanentError, TooMuch, NotFound; NotWanted when the attempt is not the current one,
        or has ended.
        """
        if not token:
            raise NoPass("a token is needed", "send `Authorization: Bearer <token>`")
        match check_gateway_token(self.key, attempt, token, self.clock.now()):
            case "forged":
                raise WrongPass("this token is not the attempt's")
            case "expired":
                raise NoPass("the token has expired", "the attempt's time is over")
            case _:
                pass
        if len(session) < SHORTEST_SESSION:
            raise PermanentError(
                "Turnout-Session: too short",
                f"send the same {SHORTEST_SESSION} random characters or more each time",
            )
        self._take(attempt, "requests", 1, self.limits.requests)
        run = self.store.load(self.store.run_of(attempt))
        found = run.attempt(attempt) if run else None
        if run is None or found is None:
            raise NotFound(f"no attempt {attempt}", "it may have been launched from another store")
        stage, task, this = found
        if task.current is None or task.current.id != attempt or not task.active:
            how = f": {this.result.outcome.value}" if this.result else ""
            raise NotWanted(f"attempt {attempt} has ended{how}", "nothing more is wanted of it")
        return Visit(run, task, this, run.planned(stage.name).agent, _mark(session))

    def task(self, visit: Visit) -> dict[str, Any]:
        """The `TaskRequested` without its token: with that one, things could be said on the topics."""
        if visit.state == "others":
            raise _others(visit)
        task = self._task(visit)
        found = task.with_(secrets=task.secrets if task.trusted else ()).to_json()
        del found["token"]
        return found

    def started(self, visit: Visit, start: Start) -> Standing:
        """Ask for the standing until it is no longer ``waiting``: the first start that is recorded counts."""
        if visit.state == "waiting":
            told = m.TaskStarted(
                **self._from(visit, f"{start.worker}{visit.mark}"), at=self.clock.now(), sandbox=start.sandbox
            )
            self._say(visit, told, visit.attempt.id)
        return visit.standing

    def heartbeat(self, visit: Visit, beat: Beat) -> Standing:
        if visit.state == "yours":
            told = m.TaskHeartbeat(**self._from(visit), at=self.clock.now())
            self._say(visit, told, visit.attempt.id, visit.attempt.worker, beat.number)
        return visit.standing

    def grants(self, visit: Visit) -> dict[str, Any]:
        """``secrets``: name to value, those that the task names, none for a fork. ``credential``: for its checkout.

        Raises: NotNow before the start is recorded, or when it is to stop; PermanentError when one is not bound.
        """
        _its_own(visit)
        if visit.attempt.cancel_reason:
            raise NotNow(f"the attempt is to stop: {visit.attempt.cancel_reason}")
        task = self._task(visit)
        names = task.secrets if task.trusted else ()
        values = self.secrets.resolve(task.project, task.environment, names) if names else {}
        if missing := [name for name in names if name not in values]:
            raise PermanentError(f"not bound: {', '.join(missing)}", "bind them in the project file")
        credential = self.credential(task.checkout)
        return {
            "secrets": {name: values[name] for name in names},
            "credential": credential.to_json() if credential else None,
        }

    def log(self, visit: Visit, chunk: Chunk) -> dict[str, int]:
        """Keep a piece of the log, once, and say it live. ``have``: bytes that are kept now.

        Raises: NotNow, TooLarge (a piece, or the whole), TooMuch, Gap.
        """
        _its_own(visit)
        content = chunk.text.encode("utf-8", "replace")
        if len(content) > MAX_CHUNK:
            raise TooLarge(
                f"a piece of the log has {len(content)} bytes", f"send at most {MAX_CHUNK} at once"
            )
        if chunk.offset + len(content) > self.limits.log:
            raise TooLarge(f"the log is longer than {self.limits.log} bytes", "what is kept of it is enough")
        self._take(visit.attempt.id, "log", len(content), self.limits.log_rate)
        have = self._append(visit, chunk.offset, content)
        told = m.LogChunk(
            run=visit.run.id,
            task=visit.task.id,
            attempt=visit.attempt.id,
            sequence=chunk.sequence,
            at=self.clock.now(),
            text=chunk.text,
        )
        try:
            self._say(visit, told, visit.attempt.id, chunk.sequence, timeout=LIVE_TIMEOUT)
        except TurnoutError:
            pass  # it is kept; only who watches now misses it
        return {"have": have}

    def announce(self, visit: Visit, file: Announced) -> dict[str, str | None]:
        """``key``: where it will be. ``url``: where to PUT it; None: to the gateway itself.

        Raises: NotNow, TooLarge, PermanentError for a name that is none.
        """
        key = self._admitted(visit, file)
        url = self.artifacts.upload_url(key, size=file.size, sha256=file.sha256, media_type=file.media_type)
        return {"key": key, "url": url}

    def upload(self, visit: Visit, file: Announced, chunks: Iterable[bytes]) -> dict[str, Any]:
        """Raises: as `announce`; PermanentError when it is not what was announced."""
        key = self._admitted(visit, file)
        kept = self.artifacts.put_stream(
            key, chunks, size=file.size, sha256=file.sha256, media_type=file.media_type
        )
        return {"key": kept.key, "size": kept.size, "sha256": kept.sha256}

    def baseline(self, visit: Visit) -> dict[str, str | None]:
        """The report that this task's findings are compared with. ``text`` None: there is none, or one too large."""
        _its_own(visit)
        place = self._task(visit).baseline
        if place is None or self.artifacts.size(place.key) > MAX_BASELINE:
            return {"text": None}
        try:
            return {"text": self.artifacts.get(place.key).decode("utf-8", "replace")}
        except NotFound:
            return {"text": None}

    def keep_baseline(self, visit: Visit, file: Announced, chunks: Iterable[bytes]) -> dict[str, Any]:
        """Replace that report. Raises: PermanentError where this task may not; TooLarge."""
        _its_own(visit)
        task = self._task(visit)
        if task.baseline is None or not task.baseline.keeps or not task.trusted:
            raise PermanentError("later findings are not compared with those of this task")
        if file.size > MAX_BASELINE:
            raise TooLarge(f"the report has {file.size} bytes, at most {MAX_BASELINE} are taken")
        kept = self.artifacts.put_stream(
            task.baseline.key, chunks, size=file.size, sha256=file.sha256, media_type=file.media_type
        )
        return {"key": kept.key, "size": kept.size, "sha256": kept.sha256}

    def finished(self, visit: Visit, answer: Answer) -> Standing:
        """Raises: NotWanted, PermanentError for artifacts that are not the attempt's own, TransientError."""
        if visit.state == "others":
            raise _others(visit)
        own = attempt_key(visit.run.id, visit.task.id, visit.attempt.number, "")
        for each in answer.result.artifacts:
            if not each.key.startswith(own) or _bad_name(each.key.removeprefix(own)):
                raise PermanentError(
                    f"artifact {each.name!r} is not of this attempt", f"its key begins with {own}"
                )
        told = m.TaskFinished(**self._from(visit), at=self.clock.now(), result=answer.result)
        self._say(visit, told, visit.attempt.id)
        return visit.standing

    # --- inside -----------------------------------------------------------------------------------

    def _task(self, visit: Visit) -> m.TaskRequested:
        message = task_request(visit.run, visit.attempt.id, lambda _: "").message
        assert isinstance(message, m.TaskRequested)
        return message

    def _from(self, visit: Visit, worker: str = "") -> dict[str, str]:
        return {
            "run": visit.run.id,
            "task": visit.task.id,
            "attempt": visit.attempt.id,
            "token": attempt_token(self.key, visit.attempt.id),
            "worker": worker or visit.attempt.worker or f"job{visit.mark}",
        }

    def _say(self, visit: Visit, message: m.Message, *cause: object, timeout: float = 30.0) -> None:
        """The envelope ids are those of `agents.sdk.answers`. Raises: TransientError, PermanentError (too large)."""
        topic, key = AGENT_RESULTS, visit.run.id
        if isinstance(message, m.LogChunk):
            topic, key = AGENT_LOGS, visit.attempt.id
        envelope = m.wrap(
            message,
            id=message_id(message.type, *cause),
            source=f"turnout/agents/{visit.agent}",
            at=self.clock.now(),
        )
        self.producer.publish([envelope.to_record(topic, key)], timeout)

    def _append(self, visit: Visit, offset: int, content: bytes) -> int:
        """What is kept already is not kept again. The lock is this process's: a job sends one piece after another."""
        key = attempt_key(visit.run.id, visit.task.id, visit.attempt.number)
        with self._logs[hash(visit.attempt.id) % len(self._logs)]:
            have = self.artifacts.size(key)
            if offset > have:
                raise Gap(have)
            missing = content[have - offset :]
            if missing:
                self.artifacts.append(key, missing)
            return have + len(missing)

    def _admitted(self, visit: Visit, file: Announced) -> str:
        _its_own(visit)
        if _bad_name(file.name) or file.name == LOG_NAME:
            raise PermanentError(
                f"{file.name!r} is no name for an artifact", "use a relative path of plain names"
            )
        if file.size > self.limits.artifact:
            raise TooLarge(
                f"{file.name} has {file.size} bytes, at most {self.limits.artifact} are taken",
                "keep less, or raise TURNOUT_GATEWAY_ARTIFACT",
            )
        own = attempt_key(visit.run.id, visit.task.id, visit.attempt.number, "")
        count, used = self.artifacts.usage(own)
        again = self.artifacts.size(f"{own}{file.name}")
        if count >= self.limits.artifact_count and not again:
            raise TooLarge(f"the attempt has {count} artifacts", "put them into one archive")
        if used - again + file.size > self.limits.artifacts:
            raise TooLarge(
                f"with {file.name} the attempt's artifacts have more than {self.limits.artifacts} bytes",
                "keep less, or raise TURNOUT_GATEWAY_ARTIFACTS",
            )
        return f"{own}{file.name}"

    def _take(self, attempt: str, what: str, amount: float, rate: float) -> None:
        """Raises: TooMuch. Each process counts for itself."""
        now = self.clock.now().timestamp()
        with self._guard:
            known = self._allowed.pop((attempt, what), None) or Allowance.full(rate, 4 * rate, now)
            after, wait = known.take(amount, now)
            self._allowed[(attempt, what)] = after
            while len(self._allowed) > REMEMBERED:
                self._allowed.popitem(last=False)
        if wait:
            raise TooMuch(f"too many {what} in a short time", "wait as long as asked", retry_after=wait)


def _mark(session: str) -> str:
    """What is recorded of a session; the session itself can't be found from it."""
    return f"~{hashlib.sha256(session.encode('utf-8', 'replace')).hexdigest()[:20]}"


def _its_own(visit: Visit) -> None:
    """Raises: NotNow, NotWanted."""
    match visit.state:
        case "waiting":
            raise NotNow("the attempt's start is not recorded yet", "say that it started, and wait for it")
        case "others":
            raise _others(visit)
        case _:
            pass


def _others(visit: Visit) -> NotWanted:
    return NotWanted(f"another job runs attempt {visit.attempt.id}", "nothing is wanted of this one")


def _bad_name(name: str) -> bool:
    parts = name.split("/")
    return not name.isprintable() or any(
        part in ("", ".", "..") or part.startswith(".incoming") or len(part.encode("utf-8", "replace")) > 255
        for part in parts
    )
