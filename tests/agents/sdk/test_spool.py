from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from agents.sdk.spool import Spool
from tests.agents.sdk.hosts import Now
from tests.waiting import wait_until
from turnout.core.envelope import Record, open_record
from turnout.core.errors import PermanentError, TransientError
from turnout.core.messages import TaskFinished, parse
from turnout.core.model import Outcome
from turnout.core.result import Result


class Taking:
    """A producer that takes what ``refuse`` does not raise for."""

    def __init__(self) -> None:
        self.taken: list[TaskFinished] = []
        self.away = False
        self.largest = 1_000_000

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:
        if self.away:
            raise TransientError("the broker is away")
        if len(records[0].value) > self.largest:
            raise PermanentError("the record is too large")
        message = parse(open_record(records[0]))
        assert isinstance(message, TaskFinished)
        self.taken.append(message)

    def close(self) -> None:
        pass


def finished(attempt: str, **more: object) -> TaskFinished:
    result = Result.model_validate({"outcome": Outcome.SUCCESS, **more})
    return TaskFinished(run="r", task="t", attempt=attempt, token="k", at=Now().now(), result=result)


def test_results_are_sent_in_order_and_forgotten_when_acknowledged(tmp_path: Path) -> None:
    producer, sent = Taking(), list[str]()
    spool = Spool(tmp_path, producer, sent.append)
    assert spool.start() == []
    for attempt in "abc":
        spool.send(finished(attempt), "lint")
    assert spool.flush(10)
    spool.close()
    assert [each.attempt for each in producer.taken] == sent == ["a", "b", "c"]
    assert not list(tmp_path.iterdir())


def test_what_the_bus_did_not_take_is_sent_by_the_next_worker(tmp_path: Path) -> None:
    away = Taking()
    away.away = True
    first = Spool(tmp_path, away, lambda _: None)
    first.start()
    first.send(finished("a", summary="done"), "lint")
    assert not first.flush(0.05)
    first.close(0.05)
    back, sent = Taking(), list[str]()
    second = Spool(tmp_path, back, sent.append)
    assert second.start() == ["a"]
    assert second.flush(10)
    second.close()
    assert back.taken[0].result.summary == "done"
    assert sent == ["a"]


def test_a_result_waits_while_the_bus_is_away(tmp_path: Path) -> None:
    producer = Taking()
    producer.away = True
    spool = Spool(tmp_path, producer, lambda _: None)
    spool.start()
    spool.send(finished("a"), "lint")
    wait_until(lambda: list(tmp_path.glob("a.json")))
    producer.away = False
    assert spool.flush(10)
    spool.close()


def test_a_result_that_is_too_large_is_said_in_short_and_is_no_success(tmp_path: Path) -> None:
    producer = Taking()
    producer.largest = 3000
    spool = Spool(tmp_path, producer, lambda _: None)
    spool.start()
    spool.send(finished("a", outputs={"huge": "x" * 10_000}), "lint")
    assert spool.flush(10)
    spool.close()
    result = producer.taken[0].result
    assert result.outcome is Outcome.ERROR
    assert "too large" in result.reason
    assert "fewer or shorter outputs" in result.reason


def test_a_file_that_cannot_be_read_does_not_hold_up_the_others(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    producer = Taking()
    spool = Spool(tmp_path, producer, lambda _: None)
    assert spool.start() == []
    spool.send(finished("a"), "lint")
    assert spool.flush(10)
    spool.close()
    assert [each.attempt for each in producer.taken] == ["a"]


def test_a_result_that_the_disk_does_not_take_is_sent_all_the_same_and_leaves_no_half_file(
    tmp_path: Path,
) -> None:
    producer = Taking()
    spool = Spool(tmp_path, producer, lambda _: None)
    spool.start()
    in_the_way = tmp_path / "a.json"
    in_the_way.mkdir()
    spool.send(finished("a"), "lint")
    assert spool.flush(10)
    spool.close()
    assert [each.attempt for each in producer.taken] == ["a"]
    assert list(tmp_path.iterdir()) == [in_the_way]


def test_what_a_killed_worker_had_half_written_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    own, gone = os.getpid(), 2**22 + 1  # no process has a larger number
    old, dead, living, other = (
        tmp_path / name for name in (f"a.{own}", f"b.{gone}", f"c.{own}", f"d.{gone}")
    )
    for each, age in ((old, 100.0), (dead, 2.0), (living, 2.0), (other, 0.0)):
        each.write_text("{")
        os.utime(each, (time.time() - age,) * 2)
    spool = Spool(tmp_path, Taking(), lambda _: None)
    assert spool.start() == []
    spool.close()
    assert sorted(tmp_path.iterdir()) == [living, other], "another container's may be written right now"
