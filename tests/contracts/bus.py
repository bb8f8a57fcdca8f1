"""What every bus keeps, whichever transport is under it. Subclass `BusContract` and give it a harness.

class TestMyBus(BusContract):
    @pytest.fixture
    def harness(self) -> MyHarness: ...
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import pytest

from tests.waiting import wait_until
from turnout.core.envelope import Received, Record
from turnout.core.errors import PermanentError, Rebalanced
from turnout.core.ports import Bus, Consumer, Position

Partition = tuple[str, int]


class BusHarness(Protocol):
    """One log, empty at the start of the test. ``topic`` and ``other`` have at least four partitions each.

    ``group`` is the name of a consumer group that nobody else uses.

    ``patience``: seconds within which a dead member's partitions surely have moved.
    """

    topic: str
    other: str
    group: str
    patience: float

    def open(self) -> Bus:
        """The bus as one more process would open it, on the same log."""
        ...

    def kill(self, consumer: Consumer) -> None:
        """The consumer's process dies: it neither leaves its group nor says anything ever again."""
        ...


class Reading:
    """A consumer with what it has read so far."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.seen: list[Received] = []

    def poll(self, timeout: float = 0.02) -> Sequence[Received]:
        batch = self.consumer.poll(timeout)
        self.seen.extend(batch)
        return batch

    def values(self) -> list[bytes]:
        return [each.record.value for each in self.seen]

    def until(self, what: Callable[[], object], patience: float, others: Sequence[Reading] = ()) -> None:
        """Poll, in turn with ``others``, until ``what`` holds."""
        deadline = time.monotonic() + patience
        while not what():
            assert time.monotonic() < deadline, f"waited {patience} s in vain, read {len(self.seen)} records"
            for each in (self, *others):
                each.poll()

    def count(self, number: int, patience: float) -> list[Received]:
        self.until(lambda: len(self.seen) >= number, patience)
        assert len(self.seen) == number
        return self.seen

    def after(self, *received: Received) -> list[Position]:
        """The positions that say that these are done."""
        highest: dict[Partition, int] = {}
        for each in received:
            partition = (each.record.topic, each.partition)
            highest[partition] = max(highest.get(partition, 0), each.offset + 1)
        return [Position(*partition, offset) for partition, offset in highest.items()]


def records(topic: str, keys: Sequence[str], each: int = 1) -> list[Record]:
    """``each`` records of every key, the keys in turn, the value telling key and number."""
    return [Record(topic, key, f"{key}:{number}".encode()) for number in range(each) for key in keys]


def keys(count: int) -> list[str]:
    return [f"key-{number}" for number in range(count)]


class BusContract:
    @pytest.fixture
    def harness(self) -> BusHarness:
        raise NotImplementedError("the subclass gives the harness")

    @pytest.fixture
    def bus(self, harness: BusHarness) -> Bus:
        return harness.open()

    @pytest.fixture
    def join(self, harness: BusHarness, bus: Bus) -> Iterator[Callable[..., Reading]]:
        """Makes readers that are closed when the test ends. ``fresh``: in a process of their own."""
        made: list[Consumer] = []

        def make(
            group: str = "", topics: Sequence[str] = (), member: str = "", fresh: bool = False
        ) -> Reading:
            of = harness.open() if fresh else bus
            made.append(of.consumer(group or harness.group, topics or [harness.topic], member=member))
            return Reading(made[-1])

        yield make
        for consumer in made:
            consumer.close()

    def publish(self, bus: Bus, wanted: Sequence[Record]) -> None:
        producer = bus.producer()
        try:
            producer.publish(wanted)
        finally:
            producer.close()

    # --- records --------------------------------------------------------------------------------

    def test_records_of_one_key_keep_their_order_and_their_partition(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, keys(20), each=5))
        read = join().count(100, harness.patience)
        by_key: dict[str, list[Received]] = defaultdict(list)
        for each in read:
            by_key[each.record.key].append(each)
        for key, those in by_key.items():
            assert [each.record.value for each in those] == [f"{key}:{n}".encode() for n in range(5)]
            assert len({each.partition for each in those}) == 1
        assert len({each.partition for each in read}) > 1

    def test_headers_and_binary_values_come_back_as_they_were(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        value = bytes(range(256))
        headers = (
            ("ce_id", b"1"),
            ("content-type", b"x/y"),
            ("raw", b"\x00\xff"),
            ("raw", b"again"),
            ("none", b""),
        )
        sent = [Record(harness.topic, "schlüssel/ключ", value, headers), Record(harness.topic, "empty", b"")]
        before = time.time() - 5
        self.publish(bus, sent)
        read = join().count(2, harness.patience)
        assert {each.record.key: each.record for each in read} == {each.key: each for each in sent}
        assert all(before < each.timestamp < time.time() + 5 for each in read)

    def test_an_empty_key_is_a_key_like_any_other(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, [""], each=10))
        read = join().count(10, harness.patience)
        assert [each.record.value for each in read] == [f":{n}".encode() for n in range(10)]
        assert {each.record.key for each in read} == {""}
        assert len({each.partition for each in read}) == 1

    def test_offsets_grow_within_a_partition(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, keys(8), each=4))
        last: dict[int, int] = {}
        for each in join().count(32, harness.patience):
            assert each.offset > last.get(each.partition, -1)
            last[each.partition] = each.offset

    def test_a_record_that_is_too_large_is_refused_for_good_and_hurts_no_other(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        producer = bus.producer()
        with pytest.raises(PermanentError, match=harness.topic):
            producer.publish(
                [Record(harness.topic, "small", b"1"), Record(harness.topic, "large", bytes(3_000_000))]
            )
        producer.publish(
            [Record(harness.topic, "after", b"2"), Record(harness.topic, "big", bytes(1_000_000))]
        )
        reading = join()
        reading.until(
            lambda: {"after", "big"} <= {each.record.key for each in reading.seen}, harness.patience
        )
        assert "large" not in {each.record.key for each in reading.seen}
        producer.close()

    def test_what_many_threads_publish_at_once_all_arrives_each_key_in_order(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        producer = bus.producer()
        failed: list[Exception] = []

        def work(key: str) -> None:
            try:
                for number in range(20):
                    producer.publish([Record(harness.topic, key, f"{key}:{number}".encode())])
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(key,)) for key in keys(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        read = join().count(120, harness.patience)
        for key in keys(6):
            values = [each.record.value for each in read if each.record.key == key]
            assert values == [f"{key}:{n}".encode() for n in range(20)]
        producer.close()

    def test_publishing_nothing_is_fine(self, bus: Bus) -> None:
        self.publish(bus, [])

    def test_making_the_topics_twice_and_at_once_changes_nothing(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, ["a"]))
        failed: list[Exception] = []

        def make() -> None:
            try:
                harness.open().ensure_topics()
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=make) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        bus.ensure_topics()
        assert failed == []
        assert [each.record.value for each in join().count(1, harness.patience)] == [b"a:0"]

    # --- groups and positions -------------------------------------------------------------------

    def test_two_groups_each_see_every_record(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, keys(10)))
        first = join(f"{harness.group}-first").count(10, harness.patience)
        second = join(f"{harness.group}-second").count(10, harness.patience)
        assert {each.record.value for each in first} == {each.record.value for each in second}

    def test_one_consumer_reads_several_topics(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, [*records(harness.topic, ["a"]), *records(harness.other, ["b"])])
        read = join(topics=[harness.topic, harness.other]).count(2, harness.patience)
        assert {each.record.topic for each in read} == {harness.topic, harness.other}

    def test_a_committed_position_survives_a_restart(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, ["a"], each=5))
        before = join()
        before.count(5, harness.patience)
        before.consumer.commit(before.after(*before.seen[:3]))
        before.consumer.close()
        after = join(fresh=True)
        after.count(2, harness.patience)
        assert after.values() == [b"a:3", b"a:4"]

    def test_what_was_not_committed_is_delivered_again(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, keys(6)))
        before = join()
        before.count(6, harness.patience)
        before.consumer.close()
        after = join(fresh=True)
        after.count(6, harness.patience)
        assert sorted(before.values()) == sorted(after.values())

    def test_lag_is_what_the_group_has_not_committed(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, keys(12)))
        assert sum(bus.lag(f"{harness.group}-nobody", [harness.topic]).values()) == 12
        reading = join()
        reading.count(12, harness.patience)
        assert sum(bus.lag(harness.group, [harness.topic]).values()) == 12
        some = [each for each in reading.seen if each.partition == reading.seen[0].partition]
        reading.consumer.commit(reading.after(*some))
        lag = bus.lag(harness.group, [harness.topic])
        assert lag[(harness.topic, some[0].partition)] == 0
        assert sum(lag.values()) == 12 - len(some)

    def test_members_share_the_partitions_and_each_record_goes_to_one_of_them(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        one, two = self.sharing(harness, join)
        self.publish(bus, records(harness.topic, keys(30)))
        one.until(lambda: len(one.seen) + len(two.seen) >= 30, harness.patience, [two])
        assert len({*one.values(), *two.values()}) == len(one.seen) + len(two.seen) == 30
        assert one.seen
        assert two.seen

    def test_partitions_move_when_a_member_leaves(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        one, two = self.sharing(harness, join)
        everything = one.consumer.assignment() | two.consumer.assignment()
        one.consumer.close()
        two.until(lambda: two.consumer.assignment() == everything, harness.patience)
        self.publish(bus, records(harness.topic, keys(10)))
        two.count(10, harness.patience)

    def test_partitions_move_when_a_named_member_leaves(
        self, harness: BusHarness, join: Callable[..., Reading]
    ) -> None:
        one, two = self.sharing(harness, join, named=True)
        everything = one.consumer.assignment() | two.consumer.assignment()
        one.consumer.close()
        two.until(lambda: two.consumer.assignment() == everything, harness.patience)

    def test_partitions_move_when_a_member_dies_and_what_it_had_not_committed_moves_too(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        one, two = self.sharing(harness, join)
        self.publish(bus, records(harness.topic, keys(20)))
        one.until(lambda: len(one.seen) + len(two.seen) == 20, harness.patience, [two])
        harness.kill(one.consumer)
        two.until(lambda: len(set(two.values())) == 20, harness.patience)

    def test_a_named_member_that_restarts_is_a_member_again_and_no_partition_is_left_alone(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        one, two = self.sharing(harness, join, named=True)
        everything = one.consumer.assignment() | two.consumer.assignment()
        harness.kill(one.consumer)
        again = join(member="one", fresh=True)
        again.until(again.consumer.assignment, harness.patience, [two])
        again.until(
            lambda: again.consumer.assignment() | two.consumer.assignment() == everything,
            harness.patience,
            [two],
        )
        self.publish(bus, records(harness.topic, keys(20)))
        again.until(lambda: len(again.seen) + len(two.seen) == 20, harness.patience, [two])

    def test_a_commit_of_a_lost_partition_is_refused_and_commits_nothing(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, keys(20)))
        one = join()
        one.count(20, harness.patience)
        held = one.consumer.assignment()
        two = join(fresh=True)
        two.until(lambda: two.consumer.assignment(), harness.patience, [one])
        one.until(lambda: one.consumer.assignment() < held, harness.patience, [two])
        with pytest.raises(Rebalanced):
            one.consumer.commit(one.after(*one.seen))
        assert sum(bus.lag(harness.group, [harness.topic]).values()) == 20

    def test_a_member_that_its_restart_has_replaced_can_commit_nothing(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, ["a"]))
        old = join(member="one")
        old.count(1, harness.patience)
        new = join(member="one", fresh=True)
        new.count(1, harness.patience)
        with pytest.raises(Rebalanced):
            old.consumer.commit(old.after(*old.seen))
        assert sum(bus.lag(harness.group, [harness.topic]).values()) == 1
        new.consumer.commit(new.after(*new.seen))
        assert sum(bus.lag(harness.group, [harness.topic]).values()) == 0

    def test_nothing_is_owned_before_the_first_poll_and_after_the_end(
        self, harness: BusHarness, join: Callable[..., Reading]
    ) -> None:
        reading = join()
        assert reading.consumer.assignment() == frozenset()
        reading.until(reading.consumer.assignment, harness.patience)
        assert {topic for topic, _ in reading.consumer.assignment()} == {harness.topic}
        reading.consumer.close()
        reading.consumer.close()

    # --- polling --------------------------------------------------------------------------------

    def test_a_paused_partition_is_held_back_and_no_other(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        reading = join()
        reading.until(reading.consumer.assignment, harness.patience)
        self.publish(bus, records(harness.topic, keys(20)))
        reading.count(20, harness.patience)
        held = (harness.topic, reading.seen[0].partition)
        mine = [each.record.key for each in reading.seen if each.partition == held[1]]
        reading.consumer.pause([held])
        reading.seen.clear()
        self.publish(bus, records(harness.topic, keys(20)))
        reading.count(20 - len(mine), harness.patience)
        reading.poll(0.3)
        assert held[1] not in {each.partition for each in reading.seen}
        assert held in reading.consumer.assignment()
        reading.consumer.resume([held])
        reading.count(20, harness.patience)
        assert [each.record.key for each in reading.seen[-len(mine) :]] == mine

    def test_a_partition_paused_in_the_middle_of_a_batch_goes_on_where_it_was(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, ["a"], each=30))
        reading = join()
        deadline = time.monotonic() + harness.patience
        while len(reading.seen) < 5:
            assert time.monotonic() < deadline, "the first five never came"
            reading.seen.extend(reading.consumer.poll(0.02, max_records=1))
        held = (harness.topic, reading.seen[0].partition)
        reading.consumer.pause([held])
        self.publish(bus, records(harness.topic, keys(12)))
        for _ in range(3):
            reading.poll(0.2)
        reading.consumer.resume([held])
        reading.until(lambda: len(reading.seen) >= 42, harness.patience)
        mine = [each.record.value for each in reading.seen if each.record.key == "a"]
        assert mine == [f"a:{n}".encode() for n in range(30)]

    def test_a_poll_gives_no_more_than_was_asked_for_and_skips_nothing(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        self.publish(bus, records(harness.topic, keys(10), each=3))
        consumer = join().consumer
        seen: list[Received] = []
        deadline = time.monotonic() + harness.patience
        while len(seen) < 30 and time.monotonic() < deadline:
            batch = consumer.poll(0.02, max_records=7)
            assert len(batch) <= 7
            seen.extend(batch)
        assert len({(each.partition, each.offset) for each in seen}) == len(seen) == 30

    def test_a_poll_without_time_to_wait_returns_at_once(
        self, harness: BusHarness, join: Callable[..., Reading]
    ) -> None:
        reading = join()
        reading.until(reading.consumer.assignment, harness.patience)
        reading.poll(0)
        began = time.monotonic()
        assert list(reading.consumer.poll(0)) == []
        assert time.monotonic() - began < 0.5

    def test_a_waiting_poll_returns_as_soon_as_a_record_comes(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        reading = join()
        reading.until(reading.consumer.assignment, harness.patience)
        producer = bus.producer()
        producer.publish(records(harness.topic, ["warm"]))
        reading.count(1, harness.patience)
        publisher = threading.Timer(0.1, lambda: producer.publish(records(harness.topic, ["late"])))
        publisher.start()
        began = time.monotonic()
        batch = reading.consumer.poll(10)
        assert [each.record.key for each in batch] == ["late"]
        assert time.monotonic() - began < 2
        publisher.join()
        producer.close()

    def test_wake_ends_a_poll_under_way(self, harness: BusHarness, join: Callable[..., Reading]) -> None:
        reading = join()
        reading.until(reading.consumer.assignment, harness.patience)
        waker = threading.Timer(0.1, reading.consumer.wake)
        waker.start()
        began = time.monotonic()
        assert list(reading.consumer.poll(10)) == []
        assert time.monotonic() - began < 2
        waker.join()

    def test_wake_ends_the_next_poll_and_only_that(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        reading = join()
        reading.until(reading.consumer.assignment, harness.patience)
        reading.consumer.wake()
        began = time.monotonic()
        reading.consumer.poll(10)
        assert time.monotonic() - began < 2
        publisher = threading.Timer(0.3, lambda: self.publish(bus, records(harness.topic, ["a"])))
        publisher.start()
        assert [each.record.key for each in reading.consumer.poll(10)] == ["a"]
        publisher.join()

    # --- tails ----------------------------------------------------------------------------------

    def test_a_tail_sees_what_comes_after_it_and_nothing_before(self, harness: BusHarness, bus: Bus) -> None:
        self.publish(bus, records(harness.topic, keys(8)))
        tail = Reading(bus.tail([harness.topic]))
        self.publish(bus, records(harness.topic, ["after"], each=2))
        tail.count(2, harness.patience)
        assert tail.values() == [b"after:0", b"after:1"]
        tail.consumer.close()

    def test_a_tail_from_the_start_sees_everything(self, harness: BusHarness, bus: Bus) -> None:
        self.publish(bus, records(harness.topic, keys(8)))
        tail = Reading(bus.tail([harness.topic], from_start=True))
        self.publish(bus, records(harness.topic, ["after"]))
        assert len(tail.count(9, harness.patience)) == 9
        tail.consumer.close()

    def test_every_tail_sees_every_record_and_commits_nothing(
        self, harness: BusHarness, bus: Bus, join: Callable[..., Reading]
    ) -> None:
        one, two = Reading(bus.tail([harness.topic])), Reading(harness.open().tail([harness.topic]))
        self.publish(bus, records(harness.topic, keys(5)))
        one.count(5, harness.patience)
        two.count(5, harness.patience)
        one.consumer.commit(one.after(*one.seen))
        join().count(5, harness.patience)
        assert {topic for topic, _ in one.consumer.assignment()} == {harness.topic}
        one.consumer.close()
        two.consumer.close()

    def test_wake_ends_the_poll_of_a_tail(self, harness: BusHarness, bus: Bus) -> None:
        tail = bus.tail([harness.topic])
        waker = threading.Timer(0.1, tail.wake)
        waker.start()
        began = time.monotonic()
        assert list(tail.poll(10)) == []
        assert time.monotonic() - began < 2
        waker.join()
        tail.close()

    # --- shared arrangements --------------------------------------------------------------------

    def sharing(
        self, harness: BusHarness, join: Callable[..., Reading], named: bool = False
    ) -> tuple[Reading, Reading]:
        """Two members that own all partitions between them, and some each."""
        one = join(member="one" if named else "", fresh=True)
        one.until(one.consumer.assignment, harness.patience)
        everything = one.consumer.assignment()
        two = join(member="two" if named else "", fresh=True)
        two.until(
            lambda: (
                two.consumer.assignment()
                and one.consumer.assignment() | two.consumer.assignment() == everything
                and not one.consumer.assignment() & two.consumer.assignment()
            ),
            harness.patience,
            [one],
        )
        wait_until(lambda: one.consumer.assignment(), 1, "the first member keeps some")
        return one, two
