"""The second half of the outbox: what was committed is published, and only then marked as published."""

from __future__ import annotations

from collections.abc import Sequence

from turnout.core.ports import Clock, OutboxRow, Producer, Store


def publish(rows: Sequence[OutboxRow], store: Store, producer: Producer | None, clock: Clock) -> int:
    """How many rows there were. ``producer`` is None where the outbox is the log: nothing is left to do there.

    Raises: TransientError when the broker does not take them all; they stay in the outbox, and the sweeper sends them.
    """
    if rows and producer is not None:
        producer.publish([each.record for each in rows])
        store.mark_published([each.id for each in rows], clock.now())
    return len(rows)
