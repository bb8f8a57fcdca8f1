from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents.sdk.buffer import DEPTH, Buffer
from turnout.core.envelope import Received, Record
from turnout.core.messages import TaskRequested
from turnout.core.ports import Position

PLACE = ("agent.lint", 0)


def received(offset: int, partition: int = 0) -> Received:
    return Received(Record("agent.lint", "k", b""), partition, offset, 0.0)


def task(name: str) -> TaskRequested:
    known: dict[str, Any] = {
        "run": "r", "project": "p", "stage": name, "task": name, "agent": "lint", "attempt": name, "number": 1,
        "token": "t", "timeout": 1.0, "heartbeat": 1.0,
        "checkout": {"repository": "o/n", "clone_url": "/x", "sha": "1" * 40, "ref": "refs/heads/main"},
    }  # fmt: skip
    return TaskRequested.model_validate(known)


def test_tasks_of_a_partition_come_one_after_the_other() -> None:
    buffer = Buffer()
    for offset in range(3):
        buffer.add(received(offset), task(f"t{offset}"))
    seen = []
    while heads := list(buffer.heads(0)):
        assert len(heads) == 1
        assert heads[0].task is not None
        seen.append(heads[0].task.attempt)
        buffer.done(heads[0])
    assert seen == ["t0", "t1", "t2"]
    assert buffer.passed == {PLACE: Position(*PLACE, 3)}


def test_what_is_no_task_is_passed_over_only_after_what_came_before_it() -> None:
    buffer = Buffer()
    buffer.add(received(0), None)
    assert buffer.passed == {PLACE: Position(*PLACE, 1)}
    buffer.add(received(1), task("a"))
    buffer.add(received(2), None)
    assert buffer.passed == {PLACE: Position(*PLACE, 1)}
    buffer.done(next(buffer.heads(0)))
    assert buffer.passed == {PLACE: Position(*PLACE, 3)}


def test_a_dropped_task_is_passed_over_in_its_turn() -> None:
    buffer = Buffer()
    buffer.add(received(0), task("a"))
    buffer.add(received(1), task("b"))
    dropped = buffer.drop("b")
    assert dropped is not None
    assert dropped.attempt == "b"
    assert buffer.drop("b") is None
    assert buffer.passed == {}
    buffer.done(next(buffer.heads(0)))
    assert buffer.passed == {PLACE: Position(*PLACE, 2)}


def test_records_read_again_after_a_rebalance_take_the_place_of_the_old_ones() -> None:
    buffer = Buffer()
    for offset in (5, 6):
        buffer.add(received(offset), task(f"t{offset}"))
    buffer.add(received(5), task("t5"))
    buffer.add(received(6), task("t6"))
    assert [entry.position.offset for entry in buffer.entries[PLACE]] == [6, 7]


def test_partitions_that_are_lost_are_forgotten() -> None:
    buffer = Buffer()
    buffer.add(received(0), task("a"))
    buffer.add(received(0, partition=1), None)
    buffer.keep(frozenset())
    assert not list(buffer.heads(0))
    assert buffer.passed == {}


def test_a_head_that_has_to_wait_is_no_head_until_its_time() -> None:
    buffer = Buffer()
    buffer.add(received(0), task("a"))
    next(buffer.heads(0)).not_before = 5.0
    assert not list(buffer.heads(4.0))
    assert buffer.next_time(4.0) == 5.0
    assert list(buffer.heads(5.0))
    assert buffer.next_time(5.0) is None


def test_a_partition_is_full_at_its_depth() -> None:
    buffer = Buffer()
    for offset in range(DEPTH):
        assert buffer.full() == set()
        buffer.add(received(offset), task(f"t{offset}"))
    assert buffer.full() == {PLACE}


@given(st.lists(st.booleans(), max_size=30), st.data())
def test_nothing_is_passed_over_that_is_not_done(kinds: list[bool], data: st.DataObject) -> None:
    buffer = Buffer()
    open_tasks: dict[str, int] = {}
    for offset, is_task in enumerate(kinds):
        buffer.add(received(offset), task(f"t{offset}") if is_task else None)
        if is_task:
            open_tasks[f"t{offset}"] = offset
    while open_tasks:
        if data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(open_tasks)))
            buffer.drop(name)
        else:
            head = next(buffer.heads(0))
            assert head.task is not None
            name = head.task.attempt
            buffer.done(head)
        del open_tasks[name]
        passed = buffer.passed.get(PLACE)
        assert passed is None or passed.offset <= min(open_tasks.values(), default=len(kinds))
    assert not kinds or buffer.passed[PLACE].offset == len(kinds)
