"""One attempt, as its worker sees it: hand it the task, pass on what it says, watch that it lives, say how it ended."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import structlog

from agents.sdk import answers, baselines
from agents.sdk.attempt import UNWIND, folder_of
from agents.sdk.channel import Begin, Done, GitCredential, Kept, Logged, Stop, Undoing
from agents.sdk.forkserver import Forked, ForkServer
from agents.sdk.live import Live
from agents.sdk.logs import PREFIX
from turnout.adapters.tracing import tracing
from turnout.core.artifact_keys import FINDINGS_NAME, attempt_key
from turnout.core.errors import PermanentError, TransientError, TurnoutError
from turnout.core.messages import Checkout, TaskFinished, TaskRequested
from turnout.core.model import Outcome
from turnout.core.ports import Artifacts, Claims, Clock, Secrets
from turnout.core.result import Result
from turnout.core.tracing import Span, of_attempt, of_work

LOOK = 0.5  # seconds between looks for a mark to cancel
MARGIN = 5.0  # seconds that an attempt gets beyond what it needs to end by itself, before it is killed
KEEP_AGAIN = (0.2, 1.0)  # seconds between tries to keep an artifact
_log = structlog.get_logger()


@dataclass(frozen=True)
class AttemptHost:
    """What attempts of one worker share. ``agents``: kind → ``module:function``. ``credential``: for a checkout.
    ``shallow``: of which only the commit itself is fetched, unless the pipeline file asks for its history."""

    forks: ForkServer
    agents: dict[str, str]
    live: Live
    claims: Claims
    artifacts: Artifacts
    secrets: Secrets
    clock: Clock
    home: Path
    worker: str
    sandbox: str = "auto"
    grace: float = 5.0
    log_limit: int = 50_000_000
    fetch_again: tuple[float, ...] = (1.0, 4.0)
    credential: Callable[[Checkout], GitCredential | None] = field(default=lambda _: None)
    shallow: bool = False

    def begin(self, task: TaskRequested) -> HostedAttempt:
        return HostedAttempt(self, task)


class HostedAttempt:
    """`run` belongs to one thread; `stop` may be called from any other."""

    def __init__(self, host: AttemptHost, task: TaskRequested) -> None:
        self.task = task
        self._host = host
        self._log_key = attempt_key(task.run, task.task, task.number)
        self._sequence = 0
        self._log_problem = ""
        self._kept_problems: dict[str, str] = {}
        self._findings: bytes | None = None
        self._result: Result | None = None
        self._order: Stop | None = None
        self._kill_at: float | None = None
        self._undo = 0.0
        self._overdue = False
        self._heard = False
        self._stays = False
        self._guard = threading.Lock()
        self._woken, self._wake = os.pipe()

    def stop(self, why: Literal["cancelled", "lost"], reason: str) -> None:
        """The first order counts."""
        with self._guard:
            if self._order is None and self._wake >= 0:
                self._order = Stop(why=why, reason=reason)
                os.write(self._wake, b".")

    def run(self) -> TaskFinished:
        """Until nothing of it runs any more. Raises nothing: whatever goes wrong is in the result."""
        began = self._host.clock.now()
        try:
            result = self._run()
        except TurnoutError as error:
            lost = isinstance(error, TransientError)
            result = Result(outcome=Outcome.ERROR, lost=lost, summary=error.message, reason=str(error))
            self._log(f"{PREFIX}{error}\n")
        except OSError as error:
            said = f"the worker could not go on: {error}"
            result = Result(outcome=Outcome.ERROR, lost=True, summary=said, reason=said)
            self._log(f"{PREFIX}{said}\n")
        except Exception as error:
            said = f"a defect of the worker: {type(error).__name__}: {error}"
            _log.exception("an attempt failed in its worker", attempt=self.task.attempt)
            result = Result(outcome=Outcome.ERROR, lost=True, summary=said, reason=said)
        finally:
            with self._guard:
                os.close(self._woken)
                os.close(self._wake)
                self._wake = -1
        baselines.keep(self._host.artifacts, self.task, result, self._findings, self._log)
        result = self._with_problems(result)
        self._trace(began, result)
        return answers.finished(self.task, self._host.worker, self._host.clock.now(), result)

    def _trace(self, began: datetime, result: Result) -> None:
        if (found := tracing(f"turnout-{self.task.agent}")) is None:
            return
        task, place = self.task, of_work(self.task.run, self.task.attempt)
        parent = of_attempt(task.run, task.attempt).span
        ended = self._host.clock.now()
        error = "" if result.outcome is Outcome.SUCCESS else result.reason or result.outcome.value
        about = {"turnout.worker": self._host.worker, "turnout.outcome": result.outcome.value}
        found.record(
            [Span(f"{task.agent} {task.task}", place, parent, began, ended, "consumer", error, about)]
        )

    def _run(self) -> Result:
        begin = self._describe()
        kept_for = f"{self.task.project} {'trusted' if self.task.trusted else 'untrusted'}"
        for again in (True, False):
            forked = self._host.forks.borrow(kept_for)
            ended = "ended"
            try:
                ended = self._follow(forked, begin)
            finally:
                if ended == "stays":
                    forked.used = True
                    self._host.forks.keep(kept_for, forked)
                else:
                    self._host.forks.kill(forked)
                    forked.close()
            if self._result is not None or not (again and ended == "never began"):
                break
        return self._result or self._without_answer(forked)

    def _describe(self) -> Begin:
        """Raises: PermanentError when a secret is not bound."""
        task, host = self.task, self._host
        # A fork's code is never given any, whatever the task says.
        names = task.secrets if task.trusted else ()
        values = dict(host.secrets.resolve(task.project, task.environment, names)) if names else {}
        if missing := [name for name in names if name not in values]:
            raise PermanentError(f"not bound: {', '.join(missing)}", "bind them in the project file")
        return Begin(
            task=task,
            agent=host.agents[task.agent],
            home=host.home,
            secrets={name: values[name] for name in names},
            credential=host.credential(task.checkout),
            sandbox=host.sandbox,
            grace=host.grace,
            log_limit=host.log_limit,
            fetch_again=host.fetch_again,
            shallow=host.shallow,
            earlier=baselines.read(host.artifacts, task, self._log),
        )

    def _follow(self, forked: Forked, begin: Begin) -> Literal["ended", "never began", "stays"]:
        try:
            forked.channel.send(begin)
        except OSError:
            pass  # its end is heard below
        limit = time.monotonic() + self.task.timeout + self._host.grace + UNWIND + MARGIN
        beat_at = time.monotonic() + self.task.heartbeat
        beats = 0
        sent = False
        watched: list[Any] = [forked.channel, forked.status, self._woken]
        while forked.channel in watched or forked.status in watched:
            now = time.monotonic()
            until = min(beat_at, limit + self._undo, self._kill_at or limit + self._undo, now + LOOK)
            ready, _, _ = select.select(watched, [], [], max(0.0, until - now))
            if forked.channel in ready and not self._hear(forked):
                watched.remove(forked.channel)
            if self._stays and not sent and forked.exit is None:
                return "stays"
            if forked.status in ready and not forked.hear_status():
                watched.remove(forked.status)
            now = time.monotonic()
            if self._order is None and self._host.claims.cancelled(self.task.attempt):
                self.stop("cancelled", "it was cancelled")
            if self._order is not None and not sent:
                sent = True
                watched.remove(self._woken)
                self._pass_on(forked, self._order)
            if now >= beat_at and forked.status in watched and forked.pid is not None:
                beats += 1
                beat_at = now + self.task.heartbeat
                self._beat(beats)
            if now >= min(limit + self._undo, self._kill_at or limit + self._undo):
                self._overdue |= self._order is None and self._result is None
                self._host.forks.kill(forked)
                limit = now + MARGIN
                self._kill_at = None
        if forked.failure:
            raise TransientError(f"no process could be started: {forked.failure}")
        began = forked.pid is not None and (self._heard or not forked.used)
        return "ended" if began else "never began"

    def _hear(self, forked: Forked) -> bool:
        """False: the attempt's end of the channel is closed."""
        try:
            messages = forked.channel.receive()
        except ValueError as error:
            raise PermanentError(f"the attempt's process said what nobody understands: {error}") from error
        for each in messages or ():
            self._heard = True
            match each:
                case Logged():
                    self._log(each.text)
                case Kept():
                    self._keep(each)
                case Undoing():
                    self._kill_at = None if self._kill_at is None else self._kill_at + each.seconds
                    self._undo = max(self._undo, each.seconds)
                case Done():
                    self._result = each.result
                    self._stays = each.stays
                    self._kill_at = time.monotonic() + MARGIN
                case _:
                    pass
        return messages is not None

    def _pass_on(self, forked: Forked, order: Stop) -> None:
        self._kill_at = time.monotonic() + self._host.grace + self._undo + UNWIND + MARGIN
        try:
            forked.channel.send(order)
        except OSError:
            pass  # it has ended

    def _beat(self, number: int) -> None:
        host = self._host
        host.live.beat(answers.heartbeat(self.task, host.worker, host.clock.now(), number))

    def _log(self, text: str) -> None:
        if not self._log_problem:
            try:
                self._host.artifacts.append(self._log_key, text.encode())
            except TurnoutError as error:
                self._log_problem = f"the log is not kept from some point on: {error}"
                text += f"\n{PREFIX}{self._log_problem}\n"
        self._host.live.log(answers.log_chunk(self.task, self._host.clock.now(), self._sequence, text))
        self._sequence += 1

    def _keep(self, kept: Kept) -> None:
        problem: Exception
        for pause in (*KEEP_AGAIN, None):
            try:
                content = kept.path.read_bytes()
                self._host.artifacts.put(kept.artifact.key, content, kept.artifact.media_type)
                if kept.artifact.name == FINDINGS_NAME:
                    self._findings = content
                return
            except (TransientError, OSError) as error:
                problem = error
            except PermanentError as error:
                problem = error
                break
            if pause is not None:
                time.sleep(pause)
        self._kept_problems[kept.artifact.key] = f"{kept.artifact.name} is not kept: {problem}"
        self._log(f"{PREFIX}{self._kept_problems[kept.artifact.key]}\n")

    def _without_answer(self, forked: Forked) -> Result:
        if self._order is not None and self._order.why == "cancelled":
            return Result(outcome=Outcome.CANCELLED, summary="cancelled", reason=self._order.reason)
        if self._overdue:
            reason = f"it had not ended after {self.task.timeout:g} s, and did not listen; it was killed"
            return Result(outcome=Outcome.TIMED_OUT, summary=f"timed out: {reason}", reason=reason)
        match forked.exit:
            case None:
                how = "disappeared together with the process that had started it"
            case int() if forked.exit < 0:
                how = f"was killed by {_signal(-forked.exit)}"
                if forked.exit == -signal.SIGKILL:
                    how += ", perhaps by the kernel, for lack of memory"
            case _:
                how = f"ended with status {forked.exit} before it had answered"
        reason = f"the attempt's process {how}"
        self._log(f"{PREFIX}{reason}\n")
        return Result(outcome=Outcome.ERROR, lost=True, summary=reason, reason=reason)

    def _with_problems(self, result: Result) -> Result:
        """An artifact that is missing makes a success none; a log that is cut short is only said."""
        said = [*self._kept_problems.values(), *([self._log_problem] if self._log_problem else [])]
        if not said:
            return result
        changed = result.with_(
            reason="; ".join([*([result.reason] if result.reason else []), *said]),
            artifacts=tuple(each for each in result.artifacts if each.key not in self._kept_problems),
        )
        if self._kept_problems and result.outcome is Outcome.SUCCESS:
            return changed.with_(outcome=Outcome.ERROR, lost=True, summary=said[0])
        return changed

    @property
    def undo_time(self) -> float:
        """Seconds that it may need to undo what it has done, when it is told to stop."""
        return self._undo

    @property
    def folder(self) -> Path:
        return folder_of(self._host.home, self.task.attempt)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
