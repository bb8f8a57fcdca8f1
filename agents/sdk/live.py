"""What is worth saying only now: log chunks and heartbeats. Said once, from one thread; lost while the broker is away.

The whole log is in the artifact store, and the next heartbeat says the same as the one before.
"""

from __future__ import annotations

import threading
from collections import deque

from turnout.core.envelope import Record
from turnout.core.errors import TurnoutError
from turnout.core.ports import Producer

MOST = 2000  # log chunks that wait; more of them, and the oldest are dropped
BATCH = 200
TIMEOUT = 5.0  # seconds
GATHER = 0.03  # seconds that log chunks wait for others to go with them


class Live:
    """Thread-safe. Nothing here ever makes an attempt wait."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._urgent: deque[Record] = deque(maxlen=MOST)
        self._waiting: deque[Record] = deque(maxlen=MOST)
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="live", daemon=True)
        self._thread.start()

    def log(self, record: Record) -> None:
        with self._changed:
            self._waiting.append(record)
            if len(self._waiting) == 1:
                self._changed.notify()

    def beat(self, record: Record) -> None:
        """Goes before all log chunks."""
        with self._changed:
            self._urgent.append(record)
            self._changed.notify()

    def close(self, timeout: float = TIMEOUT) -> None:
        """Say what is left, for at most so many seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._urgent or self._waiting or self._closed)
                self._changed.wait_for(lambda: self._urgent or self._closed, GATHER)
                batch = [*self._urgent]
                self._urgent.clear()
                while self._waiting and len(batch) < BATCH:
                    batch.append(self._waiting.popleft())
                if not batch:
                    return
            try:
                self._producer.publish(batch, TIMEOUT)
            except TurnoutError:
                pass  # said above: what is lost here is kept elsewhere
