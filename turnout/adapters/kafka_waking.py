"""A consumer of kafka-python whose wait for records another thread can end, and two of whose defects are mended.

None of it can be had from outside, so this reaches inside; the pin on its minor version and the tests on a
real broker stand guard.
"""

from __future__ import annotations

import threading
from typing import Any

from kafka import KafkaConsumer
from kafka.future import Future
from kafka.structs import MemberState
from kafka.util import Timer


class WakingConsumer(KafkaConsumer):  # type: ignore[misc] # kafka-python is not typed
    """`wake` may be called from any thread, everything else from one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._waker: Any = None
        self._woken = threading.Event()

    @property
    def woken(self) -> bool:
        return self._woken.is_set()

    def rest(self) -> None:
        """Forget that we were woken: it has been heard."""
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()
        if self._waker is not None:
            try:
                self._net.call_soon_threadsafe(self._fire)
            except RuntimeError:  # closed meanwhile, so nobody waits
                pass

    def step(self, timeout: float, max_records: int) -> dict[Any, list[Any]]:
        """One round of kafka-python's `poll`: joins the group if need be, gives what has come in.

        It waits at most ``timeout`` seconds, less when it is woken or when an answer without records comes.
        """
        self._make_room()
        found: dict[Any, list[Any]] = self._poll_once(Timer(timeout * 1000), max_records)
        self._finish_joining()
        return found

    def arm(self) -> None:
        """From here to `disarm`, `wake` ends the wait in `step`: one more future that the fetcher waits for."""
        waker = Future()

        async def add() -> None:  # on the I/O thread, which alone may change the fetcher's queue
            self._fetcher._fetch_futures.append(waker)

        self._manager.run(add)
        self._waker = waker

    def disarm(self) -> None:
        """The fetcher drops a future that is done, with the callbacks that have gathered in it."""
        waker, self._waker = self._waker, None
        if waker is not None and not waker.is_done:
            waker.success(None)

    def _fire(self) -> None:
        waker = self._waker
        if waker is not None and not waker.is_done:
            waker.success(None)

    def _make_room(self) -> None:
        """Let records be read on that were left over when their partition was paused.

        kafka-python takes them up again only where its place for the batch in hand is empty, and leaves a
        batch there that is used up: a partition that was paused in the middle of one would stand still.
        """
        if not self._fetcher._next_partition_records:
            self._fetcher._next_partition_records = None

    def _finish_joining(self) -> None:
        """Make the next step go on with a join that this one ran out of time for.

        kafka-python forgets one that was caused by new metadata: it takes the metadata as settled once the
        join is under way, and then waits for nothing, without heartbeats, until the broker has given it up.
        """
        if self.config["group_id"] is not None and self.group_metadata().state is MemberState.REBALANCING:
            self._coordinator.request_rejoin()
