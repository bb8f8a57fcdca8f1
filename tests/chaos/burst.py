"""Deliveries as GitHub sends them, some of them twice, to a webhook that may be away."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

import httpx

from tests.chaos.pushes import Delivery

TIMEOUT = 10.0
"""Seconds that GitHub waits for an answer."""
SENDERS = 4
AGAIN = 0.5
LATER = 2
"""Deliveries that the third copy of one comes after, counted among those that have a third."""


@dataclass
class Burst:
    """``url``: where to post to now, empty: nowhere. ``insist``: an operator redelivers what was not accepted, until it
    is; False: as GitHub does it by itself, which is once.

    ``told``: delivery → the run ids that it was answered with. ``refused``: those that nobody accepted.
    """

    url: Callable[[], str]
    secret: str
    insist: bool = True
    told: dict[str, set[str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    posts: int = 0
    unanswered: int = 0
    redelivered: int = 0
    _queue: SimpleQueue[tuple[Delivery, bool] | None] = field(default_factory=SimpleQueue)
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._threads = [
            threading.Thread(target=self._send, name=f"github-{n}", daemon=True) for n in range(SENDERS)
        ]
        for thread in self._threads:
            thread.start()

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """The copy of a delivery comes beside it, a third one some deliveries later."""
        late: deque[Delivery] = deque()
        for each in deliveries:
            self._put(each, again=False)
            if each.copies > 1:
                self._put(each, again=True)
            late.extend([each] if each.copies > 2 else [])
            if len(late) > LATER:
                self._put(late.popleft(), again=True)
        for each in late:
            self._put(each, again=True)

    def _put(self, delivery: Delivery, *, again: bool) -> None:
        with self._lock:
            self._open += 1
        self._queue.put((delivery, again))

    @property
    def sending(self) -> bool:
        with self._lock:
            return self._open > 0

    def stop(self) -> None:
        self._over.set()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        with httpx.Client(timeout=TIMEOUT) as client:
            while (taken := self._queue.get()) is not None and not self._over.is_set():
                delivery, again = taken
                accepted = self._post(client, delivery)
                while not accepted and self.insist and not self._over.wait(AGAIN):
                    accepted = self._post(client, delivery)
                with self._lock:
                    self._open -= 1
                    self.redelivered += again
                    if not accepted and delivery.id not in self.told:
                        self.refused.add(delivery.id)

    def _post(self, client: httpx.Client, delivery: Delivery) -> bool:
        url = self.url()
        try:
            answer = client.post(url, content=delivery.body, headers=delivery.headers(self.secret))
            run = str(answer.json()["run"]) if answer.status_code in (200, 202) else ""
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError):
            run = ""
        with self._lock:
            self.posts += 1
            self.unanswered += not run
            if run:
                self.told.setdefault(delivery.id, set()).add(run)
                self.refused.discard(delivery.id)
        return bool(run)
