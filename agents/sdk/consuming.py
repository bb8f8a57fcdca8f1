"""One kind's tasks: read ahead, fenced one by one, run where a slot is free."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from agents.sdk import answers
from agents.sdk.buffer import Buffer, Entry
from agents.sdk.hosting import AttemptHost, HostedAttempt
from agents.sdk.orphans import leave_note, remove_folder
from agents.sdk.slots import Slots
from agents.sdk.spool import Spool
from turnout.core import messages as m
from turnout.core.envelope import Received, open_record
from turnout.core.errors import InvalidEnvelope, Rebalanced, TransientError, TurnoutError
from turnout.core.model import Outcome, Runtime
from turnout.core.ports import Bus, Consumer, Position, Producer
from turnout.core.result import Result
from turnout.core.topics import agent_topic

IDLE = 5.0  # seconds that a poll waits at most
AGAIN = 1.0  # seconds until something that failed is tried again
START_TIMEOUT = 10.0  # seconds for the bus to acknowledge that an attempt started
_log = structlog.get_logger()


@dataclass
class Worker:
    """What the loops of all kinds share, and what runs now."""

    host: AttemptHost
    bus: Bus
    producer: Producer
    spool: Spool
    slots: Slots
    sandbox: str
    _running: dict[str, tuple[HostedAttempt, threading.Thread]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def running(self) -> list[HostedAttempt]:
        with self._lock:
            return [attempt for attempt, _ in self._running.values()]

    def find(self, attempt: str) -> HostedAttempt | None:
        with self._lock:
            found = self._running.get(attempt)
        return found[0] if found else None

    def run(self, task: m.TaskRequested) -> None:
        """In a thread of its own; the slot that was taken for it is given back."""
        attempt = self.host.begin(task)
        thread = threading.Thread(target=self._conduct, args=(attempt,), name=task.task, daemon=True)
        with self._lock:
            self._running[task.attempt] = (attempt, thread)
        thread.start()

    def join(self, timeout: float) -> None:
        until = time.monotonic() + timeout
        with self._lock:
            threads = [thread for _, thread in self._running.values()]
        for each in threads:
            each.join(max(0.0, until - time.monotonic()))

    def _conduct(self, attempt: HostedAttempt) -> None:
        task = attempt.task
        try:
            finished = attempt.run()
            self.spool.send(finished, task.agent)
            _log.info(
                "attempt ended", task=task.task, attempt=task.attempt, outcome=finished.result.outcome.value
            )
        finally:
            self.slots.give()
        remove_folder(attempt.folder)
        with self._lock:
            del self._running[task.attempt]


class Consuming:
    """A thread that owns a consumer of one kind's topic."""

    def __init__(self, worker: Worker, kind: str, on_failure: Callable[[], None]) -> None:
        """``on_failure``: called when the thread ends because of `failure`, which nothing here can mend."""
        self.failure: Exception | None = None
        self._on_failure = on_failure
        self._worker = worker
        self._host = worker.host
        self._kind = kind
        self._buffer = Buffer()
        self._consumer: Consumer | None = None
        self._stopping = threading.Event()
        self._paused: set[tuple[str, int]] = set()
        self._thread = threading.Thread(target=self._live, name=f"agents.{kind}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self.wake()

    def join(self) -> None:
        self._thread.join()

    def wake(self) -> None:
        consumer = self._consumer
        if consumer is not None:
            consumer.wake()

    def _live(self) -> None:
        try:
            self._serve()
        except Exception as error:
            _log.error("takes no tasks any more", kind=self._kind, reason=str(error))
            self.failure = error
            self._worker.slots.leave(self)
            self._on_failure()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._consumer is None:
                    topic = agent_topic(self._kind)
                    self._consumer = self._worker.bus.consumer(
                        f"agents.{self._kind}", [topic], member=f"{self._host.worker}.{self._kind}"
                    )
                self._turn(self._consumer)
            except TransientError as error:
                _log.warning("the bus is away", kind=self._kind, reason=str(error))
                self._stopping.wait(AGAIN)
        self._worker.slots.leave(self)
        if self._consumer is not None:
            try:
                self._commit_passed(self._consumer)
                self._consumer.close()
            except TransientError as error:
                _log.warning("left without a word to the bus", kind=self._kind, reason=str(error))

    def _turn(self, consumer: Consumer) -> None:
        now = time.monotonic()
        due = self._buffer.next_time(now)
        received = consumer.poll(IDLE if due is None else min(IDLE, max(0.0, due - now)))
        self._buffer.keep(consumer.assignment())
        for each in received:
            self._buffer.add(each, self._task_in(each))
        self._start_heads(consumer)
        self._commit_passed(consumer)
        self._hold_back(consumer)

    def _task_in(self, received: Received) -> m.TaskRequested | None:
        """The task that this record asks us to run; None where it doesn't."""
        try:
            message = m.parse(open_record(received.record))
        except InvalidEnvelope as error:
            _log.error(
                "passed over: no task", topic=received.record.topic, offset=received.offset, reason=str(error)
            )
            return None
        match message:
            case m.TaskRequested() if (
                message.runtime is Runtime.PROCESS and message.agent in self._host.agents
            ):
                return message
            case m.CancelTask():
                self._cancel(message)
                return None
            case _:
                return None  # the launcher's

    def _cancel(self, order: m.CancelTask) -> None:
        running = self._worker.find(order.attempt)
        if running is not None:
            running.stop("cancelled", order.reason)
            return
        # The mark is for whoever else on this machine has it, or will have it.
        self._host.claims.cancel(order.attempt)
        task = self._buffer.drop(order.attempt)
        if task is not None and self._claimed(task):
            self._answer(task, Outcome.CANCELLED, order.reason)

    def _claimed(self, task: m.TaskRequested) -> bool:
        try:
            return self._host.claims.claim(task.attempt, self._host.worker)
        except TransientError:
            return False  # another worker is about to start it, and sees the mark

    def _start_heads(self, consumer: Consumer) -> None:
        progress = True
        while progress and not self._stopping.is_set():
            progress = False
            for entry in list(self._buffer.heads(time.monotonic())):
                if not self._worker.slots.take(self):
                    return
                if not self._start(consumer, entry):
                    self._worker.slots.give()
                progress = True
        self._worker.slots.leave(self)

    def _start(self, consumer: Consumer, entry: Entry) -> bool:
        """The fence. False: nothing runs because of this record, now."""
        task, host = entry.task, self._host
        assert task is not None
        try:
            if not host.claims.claim(task.attempt, host.worker):
                _log.info("passed over: it runs, or ran, already", attempt=task.attempt)
                self._buffer.done(entry)
                return False
            if host.claims.cancelled(task.attempt):
                self._answer(task, Outcome.CANCELLED, "it was cancelled before it started")
                self._buffer.done(entry)
                return False
            leave_note(host.home, host.worker, task)
            began = answers.started(task, host.worker, host.clock.now(), self._worker.sandbox)
            self._worker.producer.publish([began], START_TIMEOUT)
            consumer.commit([entry.position])
        except Rebalanced:
            # Another worker's, which reads the record again; or ours still, where nobody would read it again. The
            # next turn knows, and forgets what we have lost.
            _log.info("the group is shared out anew", attempt=task.attempt)
            host.claims.release(task.attempt)
            entry.not_before = time.monotonic() + AGAIN
            return False
        except TransientError as error:
            _log.warning("a task can't be started now", attempt=task.attempt, reason=str(error))
            host.claims.release(task.attempt)
            entry.not_before = time.monotonic() + (error.retry_after or AGAIN)
            return False
        self._buffer.done(entry)
        self._buffer.committed([entry.position])
        try:
            host.claims.running(task.attempt)
        except TurnoutError as error:
            self._answer(task, Outcome.ERROR, f"its claim can't be kept: {error}", lost=True)
            return False
        self._worker.run(task)
        return True

    def _answer(self, task: m.TaskRequested, outcome: Outcome, reason: str, *, lost: bool = False) -> None:
        result = Result(outcome=outcome, summary=reason, reason=reason, lost=lost)
        host = self._host
        self._worker.spool.send(answers.finished(task, host.worker, host.clock.now(), result), task.agent)

    def _commit_passed(self, consumer: Consumer) -> None:
        positions = list(self._buffer.passed.values())
        if positions:
            try:
                consumer.commit(positions)
            except Rebalanced:  # one of them is another's now, and none was committed
                positions = [each for each in positions if self._commit_if_ours(consumer, each)]
            self._buffer.committed(positions)

    def _commit_if_ours(self, consumer: Consumer, position: Position) -> bool:
        """False: whoever has it now passes over it, too; where that is us, with the next turn."""
        try:
            consumer.commit([position])
        except Rebalanced:
            return False
        return True

    def _hold_back(self, consumer: Consumer) -> None:
        full = self._buffer.full()
        self._paused &= consumer.assignment()
        if full - self._paused:
            consumer.pause(full - self._paused)
        if self._paused - full:
            consumer.resume(self._paused - full)
        self._paused = full
