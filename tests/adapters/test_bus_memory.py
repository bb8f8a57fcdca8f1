"""The bus in memory keeps the contract, and makes the faults it is asked for."""

from __future__ import annotations

import pytest

from tests.contracts.bus import BusContract, records
from turnout.adapters.memory_bus import Fault, MemoryBus
from turnout.adapters.memory_consumer import MemoryConsumer
from turnout.core.envelope import Record
from turnout.core.errors import PermanentError, TransientError
from turnout.core.ports import Bus, Consumer
from turnout.core.topics import AGENT_REPORT, AGENT_RESULTS


class MemoryHarness:
    topic = AGENT_RESULTS
    other = AGENT_REPORT
    group = "group"
    patience = 5.0

    def __init__(self) -> None:
        self.bus = MemoryBus()

    def open(self) -> Bus:
        return self.bus

    def kill(self, consumer: Consumer) -> None:
        assert isinstance(consumer, MemoryConsumer)
        self.bus.kill(consumer)


class TestMemoryBus(BusContract):
    @pytest.fixture
    def harness(self) -> MemoryHarness:
        return MemoryHarness()


ONE_KEY = [Record(AGENT_RESULTS, "a", value) for value in (b"0", b"1", b"2", b"3")]


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus(clock=lambda: 1234.5)


def kept(bus: MemoryBus) -> list[bytes]:
    return [each.record.value for each in bus.records(AGENT_RESULTS)]


@pytest.mark.parametrize(
    ("fault", "left"),
    [(Fault.LOST, []), (Fault.HALF, [b"0", b"1"]), (Fault.UNACKNOWLEDGED, [b"0", b"1", b"2", b"3"])],
)
def test_a_failed_publish_leaves_what_the_fault_says(bus: MemoryBus, fault: Fault, left: list[bytes]) -> None:
    bus.fail_publish(fault)
    with pytest.raises(TransientError):
        bus.producer().publish(ONE_KEY)
    assert kept(bus) == left
    bus.producer().publish(ONE_KEY[:1])
    assert kept(bus) == [*left, b"0"]


def test_a_duplicated_publish_is_acknowledged_and_twice_in_the_log(bus: MemoryBus) -> None:
    bus.fail_publish(Fault.DUPLICATED)
    bus.producer().publish(ONE_KEY[:2])
    assert kept(bus) == [b"0", b"1", b"0", b"1"]


def test_a_hook_chooses_the_fault_of_each_publish(bus: MemoryBus) -> None:
    bus.on_publish = lambda wanted: Fault.LOST if wanted[0].value == b"0" else None
    with pytest.raises(TransientError):
        bus.producer().publish(ONE_KEY[:1])
    bus.producer().publish(ONE_KEY[1:2])
    assert kept(bus) == [b"1"]


def test_time_stamps_come_from_the_clock(bus: MemoryBus) -> None:
    bus.producer().publish(ONE_KEY[:1])
    assert [each.timestamp for each in bus.records(AGENT_RESULTS)] == [1234.5]


def test_a_rebalance_is_seen_as_a_loss_before_anything_comes_back(bus: MemoryBus) -> None:
    bus.producer().publish(ONE_KEY)
    consumer = bus.consumer("group", [AGENT_RESULTS])
    first = consumer.poll(0)
    bus.rebalance("group")
    assert list(consumer.poll(0)) == []
    assert consumer.assignment() == frozenset()
    assert list(consumer.poll(0)) == list(first)


def test_a_wiped_log_goes_on_with_its_offsets(bus: MemoryBus) -> None:
    bus.producer().publish(ONE_KEY)
    bus.wipe()
    bus.producer().publish(ONE_KEY[:1])
    assert sum(bus.lag("group", [AGENT_RESULTS]).values()) == 1
    assert [each.offset for each in bus.consumer("group", [AGENT_RESULTS]).poll(0)] == [4]


def test_an_unknown_topic_is_named(bus: MemoryBus) -> None:
    with pytest.raises(TransientError, match=r"no\.such"):
        bus.producer().publish([Record("no.such", "a", b"")])
    with pytest.raises(TransientError, match=r"no\.such"):
        bus.consumer("group", ["no.such"])


def test_a_closed_end_says_so(bus: MemoryBus) -> None:
    producer, consumer = bus.producer(), bus.consumer("group", [AGENT_RESULTS])
    producer.close()
    consumer.close()
    with pytest.raises(PermanentError, match="closed"):
        producer.publish(ONE_KEY)
    with pytest.raises(PermanentError, match="closed"):
        consumer.poll(0)


def test_a_replaced_member_is_told_to_take_a_name_of_its_own(bus: MemoryBus) -> None:
    old = bus.consumer("group", [AGENT_RESULTS], member="one")
    old.poll(0)
    bus.consumer("group", [AGENT_RESULTS], member="one").poll(0)
    with pytest.raises(PermanentError, match="member one"):
        old.poll(0)


def test_three_members_share_evenly_and_keep_what_they_have(bus: MemoryBus) -> None:
    members = [bus.consumer("group", [AGENT_RESULTS]) for _ in range(3)]
    for _ in range(3):
        for member in members:
            member.poll(0)
    assert sorted(len(member.assignment()) for member in members) == [2, 2, 2]
    kept_by_first = members[0].assignment()
    members[2].close()
    for _ in range(3):
        for member in members[:2]:
            member.poll(0)
    assert kept_by_first < members[0].assignment()
    assert len(members[0].assignment() | members[1].assignment()) == 6


def test_a_busy_partition_starves_no_other(bus: MemoryBus) -> None:
    bus.producer().publish(records(AGENT_RESULTS, [f"key-{n}" for n in range(30)], each=10))
    consumer = bus.consumer("group", [AGENT_RESULTS])
    seen = {each.partition for _ in range(12) for each in consumer.poll(0, max_records=1)}
    assert len(seen) == 6
