"""The use case of the gateway: what a launched job, which holds its attempt's pass and nothing else, may ask and say.

The store decides, not the job: which attempt is the current one, whether it has started, and which job's start was
recorded. So whatever comes twice, late, or from a second job of the same attempt, has one effect. What is said goes to
the topics as a resident worker says it, under the same envelope ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from turnout.core import messages as m
from turnout.core.errors import NotFound, PermanentError, TurnoutError
from turnout.core.ids import message_id
from turnout.core.policy import attempt_token, check_gateway_token
from turnout.core.ports import Clock, Producer, Secrets, Store, Uploads
from turnout.core.run import Run
from turnout.core.topics import AGENT_LOGS, AGENT_RESULTS
from turnout.gateway.exchange import Announced, Answer, Beat, CheckoutCredential, Chunk, Standing, Start
from turnout.gateway.limits import Limits, Rates
from turnout.gateway.refusals import NoPass, NotNow, NotWanted, WrongPass
from turnout.gateway.uploads import Keeping, check_artifacts
from turnout.gateway.visits import Visit, mark_of

LIVE_TIMEOUT = 2.0  # seconds that live log chunks wait for the bus; the log itself is kept before
SHORTEST_SESSION = 16  # characters


@dataclass(frozen=True)
class Gateway:
    """``credential``: for a project's checkout, or None where none is needed. ``attested``: the task with what is
    attested of the images that it may deploy. Thread-safe.
    """

    store: Store
    producer: Producer
    artifacts: Uploads
    secrets: Secrets
    clock: Clock
    key: bytes
    limits: Limits = field(default_factory=Limits)
    credential: Callable[[m.TaskRequested], CheckoutCredential | None] = field(default=lambda _: None)
    attested: Callable[[m.TaskRequested, Run], m.TaskRequested] = field(default=lambda task, _: task)

    def __post_init__(self) -> None:
        _ = self._rates  # before there are threads

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
        self._rates.take(attempt, "requests", 1, self.limits.requests)
        run = self.store.load(self.store.run_of(attempt))
        found = run.attempt(attempt) if run else None
        if run is None or found is None:
            raise NotFound(f"no attempt {attempt}", "it may have been launched from another store")
        stage, task, this = found
        if task.current is None or task.current.id != attempt or not task.active:
            how = f": {this.result.outcome.value}" if this.result else ""
            raise NotWanted(f"attempt {attempt} has ended{how}", "nothing more is wanted of it")
        return Visit(run, task, this, run.planned(stage.name).agent, mark_of(session))

    def task(self, visit: Visit) -> dict[str, Any]:
        """The `TaskRequested` without its token: with that one, things could be said on the topics.

        Raises: NotWanted.
        """
        visit.must_not_be_anothers()
        task = self.attested(visit.request, visit.run)
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

        Raises: NotNow before the start is recorded, or when it is to stop; NotWanted; PermanentError when one is not
        bound.
        """
        visit.must_own()
        if visit.attempt.cancel_reason:
            raise NotNow(f"the attempt is to stop: {visit.attempt.cancel_reason}")
        task = visit.request
        names = task.secrets if task.trusted else ()
        values = self.secrets.resolve(task.project, task.environment, names) if names else {}
        if missing := [name for name in names if name not in values]:
            raise PermanentError(f"not bound: {', '.join(missing)}", "bind them in the project file")
        credential = self.credential(task)
        return {
            "secrets": {name: values[name] for name in names},
            "credential": credential.to_json() if credential else None,
        }

    def log(self, visit: Visit, chunk: Chunk) -> dict[str, int]:
        """Keep a piece of the log, once, and say it live. ``have``: bytes that are kept now.

        Raises: NotNow, NotWanted, TooLarge (a piece, or the whole), TooMuch, Gap.
        """
        visit.must_own()
        content = self._keeping.log_piece(chunk.offset, chunk.text)
        self._rates.take(visit.attempt.id, "log", len(content), self.limits.log_rate)
        have = self._keeping.append(visit, chunk.offset, content)
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

    def announce(self, visit: Visit, file: Announced) -> dict[str, Any]:
        """``key``: where it will be. ``url``: where to PUT it, with ``headers``; None: to the gateway itself.

        Raises: NotNow, NotWanted, TooLarge, PermanentError for a name that is none.
        """
        visit.must_own()
        key = self._keeping.place(visit, file)
        to = self.artifacts.upload_url(key, size=file.size, sha256=file.sha256, media_type=file.media_type)
        if to is None:
            return {"key": key, "url": None}
        return {"key": key, "url": to.url, "headers": dict(to.headers)}

    def upload(self, visit: Visit, file: Announced, chunks: Iterable[bytes]) -> dict[str, Any]:
        """Raises: as `announce`; PermanentError when it is not what was announced."""
        visit.must_own()
        return self._keeping.keep(self._keeping.place(visit, file), file, chunks)

    def baseline(self, visit: Visit) -> dict[str, str | None]:
        """The report that this task's findings are compared with. ``text`` None: there is none, or one too large.

        Raises: NotNow, NotWanted.
        """
        visit.must_own()
        return {"text": self._keeping.baseline(visit)}

    def keep_baseline(self, visit: Visit, file: Announced, chunks: Iterable[bytes]) -> dict[str, Any]:
        """Replace that report. Raises: NotNow, NotWanted, TooLarge, PermanentError where this task may not."""
        visit.must_own()
        return self._keeping.keep(self._keeping.baseline_place(visit, file), file, chunks)

    def finished(self, visit: Visit, answer: Answer) -> Standing:
        """Raises: NotWanted, PermanentError for artifacts that are not the attempt's own, TransientError."""
        visit.must_not_be_anothers()
        check_artifacts(visit, answer.result)
        told = m.TaskFinished(**self._from(visit), at=self.clock.now(), result=answer.result)
        self._say(visit, told, visit.attempt.id)
        return visit.standing

    # --- inside -----------------------------------------------------------------------------------

    @cached_property
    def _rates(self) -> Rates:
        return Rates(self.clock)

    @cached_property
    def _keeping(self) -> Keeping:
        return Keeping(self.artifacts, self.limits)

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
