"""What a consuming loop commits."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from agents.sdk.consuming import Consuming
from turnout.core.errors import Rebalanced
from turnout.core.ports import Position


class Bereft:
    """A consumer that has lost partition 1."""

    def __init__(self) -> None:
        self.committed: list[Position] = []

    def commit(self, positions: Sequence[Position]) -> None:
        if any(each.partition == 1 for each in positions):
            raise Rebalanced("partition 1 is another's")
        self.committed += positions


def test_what_was_passed_over_is_committed_also_when_another_partition_is_lost() -> None:
    consuming = Consuming(cast(Any, SimpleNamespace(host=None)), "test", lambda: None)
    positions = [Position("agent.test", partition, 7) for partition in range(3)]
    consuming._buffer.passed = {(each.topic, each.partition): each for each in positions}
    consumer = Bereft()
    consuming._commit_passed(cast(Any, consumer))
    assert consumer.committed == [positions[0], positions[2]]
    assert consuming._buffer.passed == {("agent.test", 1): positions[1]}, "until it is seen whose it is now"
