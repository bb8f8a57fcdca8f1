"""Dead letters: what lies there, and back to where it came from."""

from __future__ import annotations

import time
from collections.abc import Sequence

from turnout.core.dead_letters import DeadLetter, discarded_mark, open_letters, redriven_mark
from turnout.core.envelope import Received
from turnout.core.errors import TransientError
from turnout.core.ports import Bus
from turnout.core.topics import DEAD_LETTERS

NOBODY = "turnout.dead-letters"
"""A group that never commits: its lag is all that lies there."""


def dead_letters(bus: Bus, timeout: float = 30.0) -> tuple[DeadLetter, ...]:
    """Those that are open, oldest first.

    Raises: TransientError when they could not all be read within ``timeout`` seconds.
    """
    expected = sum(bus.lag(NOBODY, [DEAD_LETTERS]).values())
    tail = bus.tail([DEAD_LETTERS], from_start=True)
    read: list[Received] = []
    deadline = time.monotonic() + timeout
    try:
        while len(read) < expected:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TransientError(f"only {len(read)} of {expected} dead letters could be read in time")
            read.extend(tail.poll(left, 500))
    finally:
        tail.close()
    return open_letters(read)


def redrive(bus: Bus, letters: Sequence[DeadLetter], timeout: float = 30.0) -> int:
    """Put these back on the topics they came from; how many. Those without their value are left.

    A crash in between puts some back twice; functions know them by the event's id.
    """
    whole = [each for each in letters if each.whole]
    producer = bus.producer()
    try:
        producer.publish([each.record for each in whole], timeout)
        producer.publish([redriven_mark(each) for each in whole], timeout)
    finally:
        producer.close()
    return len(whole)


def discard(bus: Bus, letters: Sequence[DeadLetter], timeout: float = 30.0) -> int:
    """Give these up for good; how many."""
    producer = bus.producer()
    try:
        producer.publish([discarded_mark(each) for each in letters], timeout)
    finally:
        producer.close()
    return len(letters)
