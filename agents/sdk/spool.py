"""Results on their way: on disk before they are sent, and until the bus has acknowledged them.

A worker that is killed after the work is done doesn't lose it: the next one sends what it finds.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import structlog

from agents.sdk.answers import finished_record
from turnout.core.errors import PermanentError, TransientError
from turnout.core.messages import TaskFinished
from turnout.core.model import Outcome, Value
from turnout.core.ports import Producer
from turnout.core.result import Result

PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds between tries; the last one again and again
HALF_LIFE = 60.0  # seconds; writing a result takes milliseconds
WRITTEN_WITHIN = 0.5  # seconds, by a process that is no longer there
_log = structlog.get_logger()


class Spooled(Value):
    agent: str
    message: TaskFinished


class Spool:
    """Thread-safe. ``sent`` is called, from the spool's thread, when the bus has acknowledged an attempt's result."""

    def __init__(self, folder: Path, producer: Producer, sent: Callable[[str], None]) -> None:
        self._folder = folder
        self._producer = producer
        self._sent = sent
        self._waiting: deque[Spooled] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="spool", daemon=True)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def start(self) -> list[str]:
        """Send what a worker before left behind; the attempts it is about."""
        self._remove_halves()
        found = []
        for path in sorted(self._folder.glob("*.json"), key=lambda each: each.stat().st_mtime):
            try:
                spooled = Spooled.model_validate_json(path.read_bytes(), extra="ignore")
            except (OSError, ValueError) as error:
                _log.error("a result that was left behind can't be read", file=str(path), reason=str(error))
                continue
            self._waiting.append(spooled)
            found.append(spooled.message.attempt)
        self._thread.start()
        return found

    def send(self, message: TaskFinished, agent: str) -> None:
        """Returns when it is on disk; where the disk takes nothing, it waits in memory alone."""
        spooled = Spooled(agent=agent, message=message)
        path = self._path(message.attempt)
        incoming = path.with_suffix(f".{os.getpid()}")
        try:
            descriptor = os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(spooled.model_dump_json().encode())
            incoming.replace(path)
        except OSError as error:
            _log.error("a result can't be kept on disk until it is sent", reason=str(error))
            with contextlib.suppress(OSError):
                incoming.unlink()
        with self._changed:
            self._waiting.append(spooled)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until all is acknowledged; False: it isn't."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """What is not acknowledged by then stays on disk, for the next worker."""
        self.flush(timeout)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _work(self) -> None:
        tries = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                spooled = self._waiting[0]
            try:
                self._publish(spooled)
            except TransientError as error:
                pause = PAUSES[min(tries, len(PAUSES) - 1)]
                tries += 1
                _log.warning("a result waits for the bus", reason=str(error), again_in=pause)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, pause)
                continue
            tries = 0
            attempt = spooled.message.attempt
            with contextlib.suppress(OSError):
                self._path(attempt).unlink()
            self._sent(attempt)
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()

    def _publish(self, spooled: Spooled) -> None:
        """Raises: TransientError."""
        try:
            self._producer.publish([finished_record(spooled.message, spooled.agent)])
        except PermanentError as refused:
            _log.error("a result is refused by the bus", attempt=spooled.message.attempt, reason=str(refused))
            short = spooled.message.with_(result=_shortened(spooled.message.result, refused))
            try:
                self._producer.publish([finished_record(short, spooled.agent)])
            except PermanentError as again:
                _log.error("also in short", attempt=spooled.message.attempt, reason=str(again))

    def _remove_halves(self) -> None:
        """What workers that were killed while they wrote have left; workers that live may be writing now."""
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                age = time.time() - path.stat().st_mtime
                if path.suffix != ".json" and age > (
                    HALF_LIFE if _lives(path.suffix[1:]) else WRITTEN_WITHIN
                ):
                    path.unlink()

    def _path(self, attempt: str) -> Path:
        return self._folder / f"{attempt}.json"


def _lives(number: str) -> bool:
    """Whether there is such a process here: perhaps the writer. One in another container is not seen."""
    return number.isdigit() and Path(f"/proc/{number}").exists()


def _shortened(result: Result, refused: PermanentError) -> Result:
    """What is left to say of a result that the bus will never take: a success with it is none."""
    outcome = Outcome.ERROR if result.outcome is Outcome.SUCCESS else result.outcome
    return Result(
        outcome=outcome,
        lost=result.lost,
        summary=result.summary[:500],
        reason=f"the result can't be sent: {refused.message[:500]}; give fewer or shorter outputs",
        exit_code=result.exit_code,
    )
