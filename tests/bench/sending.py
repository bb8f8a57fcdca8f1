"""Requests over several connections at once, each as soon as the one before it was answered."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Sequence
from contextlib import closing

SENDERS = 8


def send_all(
    requests: int,
    connect: Sequence[Callable[[], http.client.HTTPConnection]],
    post: Callable[[http.client.HTTPConnection], None],
) -> None:
    """``connect``: to where; the senders take them in turn. Raises: AssertionError when a request was not taken."""
    left = iter(range(requests))
    taking = threading.Lock()
    failed: list[BaseException] = []

    def send(number: int) -> None:
        try:
            with closing(connect[number % len(connect)]()) as connection:
                while True:
                    with taking:
                        if next(left, None) is None:
                            return
                    post(connection)
        except Exception as error:
            failed.append(error)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    assert not failed, failed
