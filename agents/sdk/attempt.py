"""One attempt, in a process of its own: check out, run the agent, answer.

A process that has come to a clean end takes further attempts, one after another, of the same project and the same
trust: what it has touched once it need not copy again, and a first tool and a checkout of the same commit are made
ready while it waits (`readiness`).

The process holds no credential of the bus or the store. All it says goes to the worker through the channel; when the
worker is gone, it ends itself and its tools. One thread works; a second one listens, keeps the time and sends the log
on; it also has the last word when the first does not come to an end.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
import time
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal, TextIO, cast

from agents.sdk import disk, environment
from agents.sdk.channel import Begin, Channel, Done, Logged, Stop, Undoing
from agents.sdk.checking_out import check_out
from agents.sdk.interpreter import interpreter_roots
from agents.sdk.local_workspace import USUAL_LIMITS, LocalWorkspace, cache_of, limits
from agents.sdk.logs import LogStream
from agents.sdk.masking import Masker
from agents.sdk.operator_paths import operator_paths
from agents.sdk.readiness import Readiness
from agents.sdk.registry import load
from agents.sdk.stopping import Stopped, Stopping, Why
from turnout.core.errors import TransientError, TurnoutError
from turnout.core.model import Outcome
from turnout.core.result import Result
from turnout.runtimes.keepers import Starter, new_interpreter

IDLE = 60.0  # seconds that a process waits for its next attempt
MOST_ATTEMPTS = 100  # of one process: whatever an agent leaves in its memory does not grow for ever
UNWIND = 3.0  # seconds that the working thread gets to come to an end, after its tools have
INTERRUPT = signal.SIGUSR1
OUT_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""What is wrong with the machine then, and with nobody's code. (EFBIG is the attempt's own limit.)"""
_MASKED = ("summary", "reason", "findings", "tests", "outputs", "tools", "sandbox")


def folder_of(home: Path, attempt: str) -> Path:
    """Everything of one attempt on this machine; removed after it."""
    return home / "attempts" / attempt


class Attempt:
    def __init__(self, begin: Begin, channel: Channel, ready: Readiness) -> None:
        self._ready = ready
        self._begin = begin
        self._task = begin.task
        self._channel = channel
        self._deadline = time.monotonic() + begin.task.timeout
        self._stopping = Stopping(begin.grace)
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._masker = Masker(begin.secrets)
        self.stream = LogStream(self._masker, self._say, begin.log_limit, self._rouse)
        self._folder = folder_of(begin.home, begin.task.attempt)
        self._disk = disk.Disk(disk.limit(os.environ), self._folder)
        self._worker = threading.get_ident()
        self._answering = threading.Lock()
        self._over = threading.Event()
        self._sound = True

    def run(self, *, last: bool) -> bool:
        """From the working thread, which has to be the process's main one, because that is where signals arrive.

        Whether this process takes another attempt; ``last``: it doesn't.
        """
        signal.signal(INTERRUPT, self._interrupted)
        listener = threading.Thread(target=self._listen, name="listener", daemon=True)
        listener.start()
        result: Result | None = None
        try:
            result = self._result()
            self._answering.acquire()  # never released: whoever comes second waits for the process to end
        except Stopped:  # it came while the result was being made, or after
            result = self._stopped()
            self._answering.acquire()
        self._over.set()
        self._rouse()
        listener.join()  # what the worker says next is for the next attempt
        for descriptor in (self._woken, self._wake):
            os.close(descriptor)
        stays = not last and self._sound and self._stopping.why is None
        self._answer(result, stays=stays)
        return stays

    # --- the working thread ---------------------------------------------------------------------

    def _result(self) -> Result:
        try:
            return self._work()
        except Stopped:
            return self._stopped()
        except TransientError as error:
            self.stream.line(f"this attempt is lost: {error}")
            return Result(outcome=Outcome.ERROR, lost=True, summary=error.message, reason=str(error))
        except TurnoutError as error:
            self.stream.line(str(error))
            return Result(outcome=Outcome.ERROR, summary=error.message, reason=str(error))
        except Exception as error:
            self._sound = False
            if isinstance(error, OSError) and error.errno in OUT_OF_ROOM:
                said = f"the machine has no room: {error}"
                self.stream.line(f"this attempt is lost: {said}")
                return Result(outcome=Outcome.ERROR, lost=True, summary=said, reason=said)
            self.stream.line("".join(traceback.format_exception(error)))
            last = traceback.extract_tb(error.__traceback__)[-1]
            said = str(error).split("\n", 1)[0]
            where = f"{Path(last.filename).name}:{last.lineno}"
            return Result(
                outcome=Outcome.ERROR,
                summary=f"the {self._task.agent} agent failed",
                reason=f"{type(error).__name__}: {said} ({where}); this is a defect of the agent, see the log",
            )

    def _work(self) -> Result:
        task = self._task
        if self._masker.unmasked:
            self.stream.line(f"too short to be masked in this log: {', '.join(self._masker.unmasked)}")
        tree, scratch, kept = (self._folder / name for name in ("checkout", "scratch", "kept"))
        cache = cache_of(self._begin.home, task, self._folder)
        for folder in (cache, scratch, kept):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        held_in = environment.sandbox(self._begin.sandbox)
        self.stream.line(held_in.describe())
        self._ready.prepare(held_in, limits(task))  # during the checkout, unless that has been done
        objects = check_out(self._begin, tree, self._ready, self.stream.line)
        workspace = LocalWorkspace(
            path=tree,
            cache=cache,
            scratch=scratch,
            task=task,
            sandbox=held_in,
            stopping=self._stopping,
            stream=self.stream,
            masker=self._masker,
            kept=kept,
            keep=self._channel.send,
            secrets=self._begin.secrets,
            shown=(*objects, *interpreter_roots(), *operator_paths()),
            disk=self._disk,
            prepared=self._ready.take,
            earlier=self._begin.earlier,
            undoing=lambda seconds: self._channel.send(Undoing(seconds=seconds)),
        )
        result = load(self._begin.agent)(task, workspace)
        self._stopping.check()
        return result if result.sandbox else result.with_(sandbox=held_in.describe())

    def _interrupted(self, *_: object) -> None:
        if self._stopping.why is not None and not self._stopping.raised and not self._answering.locked():
            self._stopping.raised = True
            raise Stopped

    # --- the listening thread ---------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            while not self._over.is_set():
                self._turn()
        except OSError:  # the worker is gone, and with it whoever would hear an answer: leave nothing behind
            self._stopping.grace = 0.0
            self._stopping.request("lost", "")
            self._stopping.end_tool()
            os._exit(1)

    def _turn(self) -> None:
        until = min(self._deadline, self._disk.due(), self.stream.due() or self._deadline)
        watched: list[Any] = [self._channel, self._woken]
        ready, _, _ = select.select(watched, [], [], max(0.0, until - time.monotonic()))
        if self._woken in ready:
            os.read(self._woken, 1024)
        if self._channel in ready:
            self._hear()
        if time.monotonic() >= self._deadline:
            self._deadline = float("1e12")
            self._stop("timed_out", f"it had not ended after {self._task.timeout:g} s")
        due = self.stream.due()
        if due is not None and time.monotonic() >= due:
            self.stream.flush()
        if time.monotonic() >= self._disk.due() and (reason := self._disk.look()):
            self._stop("overflow", reason)

    def _hear(self) -> None:
        messages = self._channel.receive()
        if messages is None:
            raise BrokenPipeError
        for each in messages:
            if isinstance(each, Stop):
                self._stop(each.why, each.reason)

    def _stop(self, why: Why, reason: str) -> None:
        if not self._stopping.request(why, reason):
            return
        self.stream.line(f"stopping: {reason}")
        self._stopping.end_tool()
        until = time.monotonic() + self._stopping.undo_time + UNWIND
        while not self._over.wait(0.1) and time.monotonic() < until:
            signal.pthread_kill(self._worker, INTERRUPT)
            self.stream.flush()
            if self._stopping.undo_time and select.select([self._channel], [], [], 0)[0]:
                self._hear()
        if not self._over.is_set() and self._answering.acquire(blocking=False):
            self._answer(self._stopped(), stays=False)
            os._exit(0)

    # --- answering ----------------------------------------------------------------------------------

    def _stopped(self) -> Result:
        reason = "; ".join(filter(None, (self._stopping.reason, self._stopping.undone)))
        match self._stopping.why:
            case "timed_out":
                hint = "raise the stage's `timeout`, or make it quicker"
                return Result(
                    outcome=Outcome.TIMED_OUT, summary=f"timed out: {reason}", reason=f"{reason}; {hint}"
                )
            case "overflow":
                hint = f"write less, or raise {disk.VARIABLE} where the agents run"
                return Result(outcome=Outcome.FAILURE, summary=reason, reason=f"{reason}; {hint}")
            case "cancelled":
                return Result(outcome=Outcome.CANCELLED, summary=f"cancelled: {reason}", reason=reason)
            case _:
                return Result(outcome=Outcome.ERROR, lost=True, summary=f"lost: {reason}", reason=reason)

    def _answer(self, result: Result, *, stays: bool) -> None:
        """For whoever holds `_answering`."""
        self.stream.finish()
        self._channel.send(Done(result=masked(result, self._masker), stays=stays))

    def _say(self, text: str) -> None:
        self._channel.send(Logged(text=text))

    def _rouse(self) -> None:
        try:
            os.write(self._wake, b".")
        except BlockingIOError:
            pass  # it has been told often enough


def masked(result: Result, masker: Masker) -> Result:
    plain = result.to_json()
    changed = {name: _masked(plain[name], masker) for name in _MASKED}
    return Result.model_validate(plain | changed)


def _masked(value: Any, masker: Masker) -> Any:
    match value:
        case str():
            return masker.text(value)
        case list():
            return [_masked(each, masker) for each in value]
        case dict():
            return {name: _masked(each, masker) for name, each in value.items()}
        case _:
            return value


class _LinesToLog:
    """Stands in for stdout, so that what an agent prints is in the attempt's log."""

    encoding: Literal["utf-8"] = "utf-8"

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(text.encode("utf-8", "replace"))
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def main(channel: Channel, sandbox: str = "", starter: Starter = new_interpreter) -> None:
    """Run the attempts that the worker describes, one after another. Returns when none comes any more.

    ``sandbox``: what tools will be held in, if that is known: the first one is made ready before its task is there.
    ``starter``: of the tools' keepers.
    """
    ready = Readiness(starter)
    try:
        if sandbox:
            ready.prepare(environment.sandbox(sandbox), USUAL_LIMITS)
        for number in range(1, MOST_ATTEMPTS + 1):
            begin = _next(channel)
            if begin is None:
                return
            attempt = Attempt(begin, channel, ready)
            with redirect_stdout(cast(TextIO, _LinesToLog(attempt.stream))):
                stays = attempt.run(last=number == MOST_ATTEMPTS)
            if not stays:
                return
            ready.for_the_next(environment.sandbox(begin.sandbox), limits(begin.task), begin.home)
    finally:
        ready.close()


def _next(channel: Channel) -> Begin | None:
    """None: there is nothing more to do. What is said to an attempt that has ended meanwhile is nobody's."""
    until = time.monotonic() + IDLE
    while (left := until - time.monotonic()) > 0 and select.select([channel], [], [], left)[0]:
        messages = channel.receive()
        if messages is None:
            return None
        for each in messages:
            if isinstance(each, Begin):
                return each
    return None
