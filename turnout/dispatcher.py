"""Topics to functions: each record of a topic becomes a POST to the function that is subscribed to it.

One thread polls, keeps the member alive and commits; a pool of threads posts. What is out, in which order,
and how far may be committed is decided in `turnout.core.inflight`, what an answer means in
`turnout.core.posting`.

Delivery is at least once: what had been posted but not committed before a crash or a rebalance is posted
again. Functions recognise it by the event's id.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from turnout.adapters.http_poster import HttpPoster, split_url
from turnout.adapters.system_clock import SystemClock
from turnout.core.dead_letters import dead_letter
from turnout.core.errors import PermanentError, Rebalanced, TransientError
from turnout.core.inflight import Inflight, Ticket
from turnout.core.ports import Bus, Clock, Consumer, Producer
from turnout.core.posting import (
    Delivered,
    GiveUp,
    Patience,
    Poster,
    Reply,
    Route,
    TryAgain,
    Unanswered,
    judge,
)

__all__ = ["Dispatcher", "DispatcherSettings", "Progress", "Route"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DispatcherSettings:
    """Durations in seconds. ``concurrency``: POSTs at once. ``buffer``: records of a partition held at once.

    ``commit_every``: a delivered record is committed after this long at most. ``drain``: how long `stop` lets
    POSTs under way finish. ``outage``: how often a bus that is away is tried.
    """

    concurrency: int = 16
    buffer: int = 500
    patience: Patience = field(default_factory=Patience)
    commit_every: float = 0.2
    drain: float = 15.0
    idle: float = 5.0
    outage: Patience = field(default_factory=lambda: Patience(first=0.2, longest=5.0))


@dataclass(frozen=True, slots=True)
class Progress:
    """Since the start: records delivered, tries that failed, dead letters. ``unfinished``: held now."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0
    unfinished: int = 0


class Dispatcher:
    """`run` until `stop`, which may be called from any thread and from a signal handler.

    ``member``: a stable name of this process in the group. ``monotonic`` gives seconds from any origin.
    Raises: PermanentError for two routes of one topic, or a URL that is none.
    """

    def __init__(
        self,
        bus: Bus,
        group: str,
        routes: Sequence[Route],
        *,
        member: str = "",
        poster: Poster | None = None,
        clock: Clock | None = None,
        settings: DispatcherSettings | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._routes = {each.topic: each for each in routes}
        if len(self._routes) < len(routes):
            raise PermanentError(
                "two functions are subscribed to one topic", "give each group its own dispatcher"
            )
        for each in routes:
            split_url(each.url)
        self._bus = bus
        self._group = group
        self._member = member
        self._clock = clock or SystemClock()
        self._poster = poster or HttpPoster(self._clock)
        self._settings = settings or DispatcherSettings()
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._inflight = Inflight(self._settings.concurrency, self._settings.buffer)
        self._progress = Progress()
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._dirty = False
        self._committed_at = 0.0
        self._asked_at = 0.0
        self._broken: PermanentError | None = None

    def run(self) -> None:
        """Raises: PermanentError when the bus refuses us, or a dead letter, for good."""
        workers = [
            threading.Thread(target=self._work, name=f"post-{number}", daemon=True)
            for number in range(self._settings.concurrency)
        ]
        for worker in workers:
            worker.start()
        try:
            self._serve()
        finally:
            self.stop()
            deadline = self._monotonic() + 1.0
            for worker in workers:
                worker.join(max(deadline - self._monotonic(), 0.0))
            self._poster.close()
            if self._producer is not None:
                self._producer.close()
        if self._broken is not None:
            raise self._broken

    def stop(self) -> None:
        """Take nothing new; `run` returns once what is out has come back and was committed."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        consumer = self._consumer
        if consumer is not None:
            consumer.wake()

    def progress(self) -> Progress:
        with self._changed:
            return Progress(
                self._progress.delivered,
                self._progress.failed,
                self._progress.dead,
                self._inflight.unfinished,
            )

    def silent(self) -> float | None:
        """Seconds since the bus was last asked for records; None while we are no member of the group: the bus is away,
        or we have stopped."""
        return None if self._consumer is None else self._monotonic() - self._asked_at

    # --- the polling thread ---------------------------------------------------------------------

    def _serve(self) -> None:
        """One membership after another: a bus that is away ends one, and the next begins when it is back."""
        failures = 0
        while not self._stopping.is_set():
            try:
                consumer = self._bus.consumer(self._group, sorted(self._routes), member=self._member)
                failures = 0
                self._consume(consumer)
            except TransientError as error:
                failures += 1
                wait = self._settings.outage.wait(failures, error.retry_after)
                log.warning("the bus is away", reason=str(error), retry_in=wait)
                self._stopping.wait(wait)

    def _consume(self, consumer: Consumer) -> None:
        self._asked_at = self._monotonic()
        self._consumer = consumer
        try:
            while not self._stopping.is_set():
                self._turn(consumer)
            self._drain(consumer)
        finally:
            self._consumer = None
            with self._changed:
                self._inflight.own(())
            consumer.close()

    def _turn(self, consumer: Consumer) -> None:
        self._asked_at = self._monotonic()
        batch = consumer.poll(
            self._settings.commit_every if self._dirty else self._settings.idle, self._settings.buffer
        )
        with self._changed:
            self._inflight.own(consumer.assignment())
            new = self._inflight.take(batch)
            full, free = self._inflight.pressure()
            if new:
                self._changed.notify()
        if full:
            consumer.pause(full)
        if free:
            consumer.resume(free)
        if self._monotonic() - self._committed_at >= self._settings.commit_every:
            self._commit(consumer)

    def _drain(self, consumer: Consumer) -> None:
        deadline = self._monotonic() + self._settings.drain
        with self._changed:
            while self._inflight.out and (left := deadline - self._monotonic()) > 0:
                self._changed.wait(left)
            if self._inflight.out:
                log.warning("stopped before all answers came", open=self._inflight.out)
        self._commit(consumer)

    def _commit(self, consumer: Consumer) -> None:
        self._committed_at = self._monotonic()
        with self._changed:
            self._dirty = False
            positions = self._inflight.positions()
        if not positions:
            return
        try:
            consumer.commit(positions)
        except Rebalanced as error:  # whoever has the partitions now delivers again what was not committed
            log.info("not committed", reason=str(error))
        except TransientError as error:
            log.warning("not committed yet", reason=str(error))
        else:
            with self._changed:
                self._inflight.committed(positions)
            return
        with self._changed:
            self._dirty = True  # again soon, for the partitions that are still ours

    # --- the posting threads --------------------------------------------------------------------

    def _work(self) -> None:
        while (ticket := self._next()) is not None:
            verdict = judge(self._post(ticket), ticket.counted, self._settings.patience)
            match verdict:
                case Delivered():
                    self._done(ticket, delivered=True)
                case TryAgain():
                    self._retry(ticket, verdict)
                case GiveUp():
                    self._give_up(ticket, verdict)

    def _next(self) -> Ticket | None:
        """The next record to post, waited for; None: stopping."""
        with self._changed:
            while not self._stopping.is_set():
                now = self._monotonic()
                ticket = self._inflight.next(now)
                due = self._inflight.next_due()
                if ticket is not None:
                    if self._inflight.ready or due is not None:
                        self._changed.notify()  # what is left is for another thread, at once or when it is due
                    return ticket
                self._changed.wait(None if due is None else max(due - now, 0.0))
        return None

    def _post(self, ticket: Ticket) -> Reply:
        route = self._routes[ticket.received.record.topic]
        try:
            return self._poster.post(route, ticket.received)
        except Exception as error:  # a defect of ours must cost this record a try, not the thread its life
            log.exception("posting failed", topic=route.topic, offset=ticket.received.offset)
            return Unanswered(f"{type(error).__name__}: {error}")

    def _done(self, ticket: Ticket, *, delivered: bool) -> None:
        with self._changed:
            self._inflight.done(ticket)
            now = self._progress
            self._progress = Progress(now.delivered + delivered, now.failed, now.dead + (not delivered))
            first, self._dirty = not self._dirty, True
            if self._stopping.is_set():
                self._changed.notify_all()  # `_drain` waits for what is out
        consumer = self._consumer
        if first and consumer is not None:
            consumer.wake()

    def _retry(self, ticket: Ticket, verdict: TryAgain) -> None:
        wait = self._settings.patience.wait(ticket.tries + 1, verdict.after)
        record = ticket.received.record
        log.warning(
            "not delivered", reason=verdict.reason, retry_in=wait, topic=record.topic,
            partition=ticket.received.partition, offset=ticket.received.offset, tries=ticket.tries + 1,
        )  # fmt: skip
        with self._changed:
            self._inflight.retry(ticket, self._monotonic() + wait, verdict.counts)
            now = self._progress
            self._progress = Progress(now.delivered, now.failed + 1, now.dead)
            if self._stopping.is_set():
                self._changed.notify_all()  # `_drain` waits for what is out

    def _give_up(self, ticket: Ticket, verdict: GiveUp) -> None:
        """Done once the dead letter is durable; without one the record stays unfinished, and is delivered again."""
        try:
            if self._bury(ticket, verdict):
                self._done(ticket, delivered=False)
                return
        except PermanentError as error:
            self._broken = error
            self.stop()
        self._retry(ticket, TryAgain(verdict.reason, counts=False))

    def _bury(self, ticket: Ticket, verdict: GiveUp) -> bool:
        """Make the dead letter durable, however long the bus is away; False: we stop before that."""
        received, whole, failures = ticket.received, True, 0
        while True:
            letter = dead_letter(
                received, group=self._group, reason=verdict.reason, status=verdict.status,
                tries=ticket.tries + 1, at=self._clock.now(), whole=whole,
            )  # fmt: skip
            try:
                self._letters().publish([letter])
            except PermanentError:
                if not whole:
                    raise
                whole = False  # a record of others, too large for more headers: it stays where it was
            except TransientError as error:
                failures += 1
                log.warning("dead letter not written yet", reason=str(error))
                if self._stopping.wait(self._settings.outage.wait(failures)):
                    return False
            else:
                log.error(
                    "given up", reason=verdict.reason, topic=received.record.topic,
                    partition=received.partition, offset=received.offset, key=received.record.key,
                )  # fmt: skip
                return True

    def _letters(self) -> Producer:
        with self._changed:
            if self._producer is None:
                self._producer = self._bus.producer()
            return self._producer
