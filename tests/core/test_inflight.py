"""Order per key, no gap in what is committed, and no record that holds up another key."""

from __future__ import annotations

from collections import defaultdict

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from turnout.core.envelope import Received, Record
from turnout.core.inflight import Inflight, Partition, Ticket
from turnout.core.ports import Position

TOPIC = "agent.results"
P0, P1 = (TOPIC, 0), (TOPIC, 1)


def received(offset: int, key: str = "a", partition: int = 0) -> Received:
    return Received(Record(TOPIC, key, b"{}"), partition, offset, 0.0)


def holding(*records: Received, limit: int = 10, buffer: int = 100) -> Inflight:
    inflight = Inflight(limit, buffer)
    inflight.own({P0, P1})
    inflight.take(records)
    return inflight


def out(inflight: Inflight, now: float = 0.0) -> Ticket:
    ticket = inflight.next(now)
    assert ticket is not None
    return ticket


def test_records_of_different_keys_go_out_together_and_of_one_key_one_by_one() -> None:
    inflight = holding(received(0, "a"), received(1, "a"), received(2, "b"))
    first, second = out(inflight), out(inflight)
    assert [first.received.offset, second.received.offset] == [0, 2]
    assert inflight.next(0.0) is None
    inflight.done(first)
    assert out(inflight).received.offset == 1


def test_no_more_go_out_than_the_limit() -> None:
    inflight = holding(*(received(n, str(n)) for n in range(5)), limit=2)
    first = out(inflight)
    out(inflight)
    assert inflight.next(0.0) is None
    assert inflight.out == 2
    inflight.done(first)
    assert out(inflight).received.offset == 2


def test_the_position_stops_at_the_lowest_unfinished_record() -> None:
    inflight = holding(received(5, "a"), received(6, "b"), received(9, "c"))
    a, b, c = out(inflight), out(inflight), out(inflight)
    inflight.done(b)
    inflight.done(c)
    assert inflight.positions() == ()
    inflight.done(a)
    assert inflight.positions() == (Position(TOPIC, 0, 10),)


def test_a_committed_position_is_told_once() -> None:
    inflight = holding(received(0))
    inflight.done(out(inflight))
    positions = inflight.positions()
    assert inflight.positions() == positions
    inflight.committed(positions)
    assert inflight.positions() == ()


def test_a_retry_waits_for_its_time_and_keeps_its_key_waiting_but_no_other() -> None:
    inflight = holding(received(0, "a"), received(1, "a"), received(2, "b"))
    inflight.retry(out(inflight), due=7.0)
    assert out(inflight).received.offset == 2
    assert inflight.next(6.9) is None
    assert inflight.next_due() == 7.0
    again = out(inflight, 7.0)
    assert (again.received.offset, again.tries, again.counted, again.since) == (0, 1, 1, 0.0)
    assert inflight.next_due() is None


def test_a_failure_that_does_not_count_is_a_try_all_the_same() -> None:
    inflight = holding(received(0))
    inflight.retry(out(inflight), due=0.0, counts=False)
    again = out(inflight)
    assert (again.tries, again.counted) == (1, 0)


def test_a_record_that_is_read_again_is_not_delivered_again() -> None:
    inflight = holding(received(0, "a"), received(1, "b"))
    inflight.done(out(inflight))
    assert inflight.take([received(0, "a"), received(1, "b"), received(2, "c")]) == 1
    assert [out(inflight).received.offset for _ in range(2)] == [1, 2]


def test_a_log_that_begins_anew_is_delivered_from_its_beginning() -> None:
    inflight = holding(received(100))
    inflight.done(out(inflight))
    assert inflight.take([received(0)]) == 1
    inflight.done(out(inflight))
    assert inflight.positions() == (Position(TOPIC, 0, 1),)


def test_a_lost_partition_takes_its_records_with_it() -> None:
    inflight = holding(received(0, "a"), received(0, "b", partition=1))
    inflight.own({P1})
    assert inflight.unfinished == 1
    assert out(inflight).received.partition == 1
    assert inflight.next(0.0) is None


def test_late_word_on_a_lost_partition_moves_no_position() -> None:
    inflight = holding(received(0))
    late = out(inflight)
    inflight.own({P1})
    inflight.own({P0, P1})
    inflight.done(late)
    assert inflight.positions() == ()


def test_a_key_that_is_still_out_when_its_partition_comes_back_is_not_sent_twice_at_a_time() -> None:
    inflight = holding(received(0))
    late = out(inflight)
    inflight.own({P1})
    inflight.own({P0, P1})
    inflight.take([received(0)])
    assert inflight.next(0.0) is None
    inflight.done(late)
    assert out(inflight).received.offset == 0


def test_a_commit_of_an_earlier_ownership_does_not_count_for_this_one() -> None:
    inflight = holding(received(4))
    inflight.done(out(inflight))
    positions = inflight.positions()
    inflight.own({P1})
    inflight.own({P0, P1})
    inflight.take([received(4)])
    inflight.committed(positions)
    inflight.done(out(inflight))
    assert inflight.positions() == positions


def test_a_full_partition_is_paused_and_resumed_when_half_of_it_is_gone() -> None:
    inflight = holding(*(received(n, str(n)) for n in range(4)), buffer=4)
    assert inflight.pressure() == (frozenset({P0}), frozenset())
    assert inflight.pressure() == (frozenset(), frozenset())
    inflight.done(out(inflight))
    assert inflight.pressure() == (frozenset(), frozenset())
    inflight.done(out(inflight))
    assert inflight.pressure() == (frozenset(), frozenset({P0}))


class Deliveries(RuleBasedStateMachine):
    """A log with three keys in two partitions, any order of answers, and rebalances in between.

    The model is the log itself and, for each partition, the offsets that were finished while it was owned.
    """

    KEYS = ("a", "b", "c")
    FAILS = 3  # a record is given up, as done, after so many failures

    @initialize()
    def start(self) -> None:
        self.log: dict[Partition, list[Received]] = {P0: [], P1: []}
        self.read = {P0: 0, P1: 0}
        self.committed = {P0: 0, P1: 0}
        self.finished: dict[Partition, set[int]] = {P0: set(), P1: set()}
        self.owned = {P0, P1}
        self.now = 0.0
        self.out: list[Ticket] = []
        self.inflight = Inflight(limit=4, buffer=5)
        self.inflight.own(self.owned)
        self.sent: dict[tuple[Partition, str, int], list[int]] = defaultdict(list)

    @rule(partition=st.sampled_from([P0, P1]), key=st.sampled_from(KEYS), gap=st.integers(0, 2))
    def write(self, partition: Partition, key: str, gap: int) -> None:
        log = self.log[partition]
        offset = log[-1].offset + 1 + gap if log else gap
        log.append(received(offset, key, partition[1]))

    @rule(partition=st.sampled_from([P0, P1]), count=st.integers(1, 4))
    def poll(self, partition: Partition, count: int) -> None:
        if partition in self.owned:
            batch = [each for each in self.log[partition] if each.offset >= self.read[partition]][:count]
            self.inflight.take(batch)
            if batch:
                self.read[partition] = batch[-1].offset + 1

    @rule()
    def hand_out(self) -> None:
        ticket = self.inflight.next(self.now)
        if ticket is not None:
            assert all(ticket.lane != other.lane for other in self.out), "two records of a key are out"
            lane = (ticket.lane[:2], ticket.lane[2], ticket.epoch)
            assert all(ticket.received.offset >= before for before in self.sent[lane]), "out of order"
            self.sent[lane].append(ticket.received.offset)
            self.out.append(ticket)
            assert len(self.out) <= 4

    @precondition(lambda self: self.out)
    @rule(data=st.data(), fails=st.booleans(), wait=st.floats(0, 5))
    def come_back(self, data: st.DataObject, fails: bool, wait: float) -> None:
        ticket = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        if fails and ticket.counted + 1 < self.FAILS:
            self.inflight.retry(ticket, self.now + wait)
        else:
            self.inflight.done(ticket)
            self.finished[ticket.lane[:2]].add(ticket.received.offset)

    @rule(passed=st.floats(0, 10))
    def wait(self, passed: float) -> None:
        self.now += passed

    @rule()
    def commit(self) -> None:
        positions = self.inflight.positions()
        for position in positions:
            partition = (position.topic, position.partition)
            below = {each.offset for each in self.log[partition] if each.offset < position.offset}
            assert below <= self.finished[partition], "committed past an unfinished record"
            assert position.offset >= self.committed[partition], "committed backwards"
            self.committed[partition] = position.offset
        self.inflight.committed(positions)

    @rule(partition=st.sampled_from([P0, P1]))
    def lose(self, partition: Partition) -> None:
        self.owned.discard(partition)
        self.inflight.own(self.owned)

    @rule(partition=st.sampled_from([P0, P1]))
    def gain(self, partition: Partition) -> None:
        if partition not in self.owned:
            self.owned.add(partition)
            self.read[partition] = self.committed[partition]
            self.inflight.own(self.owned)

    @invariant()
    def nothing_is_counted_twice(self) -> None:
        assert self.inflight.out == len(self.out)

    def teardown(self) -> None:
        """However it got here: with everything owned and answered, all is delivered and committed."""
        self.gain(P0)
        self.gain(P1)
        for _ in range(1000):
            self.poll(P0, 10)
            self.poll(P1, 10)
            self.now += 10
            self.hand_out()
            while self.out:
                ticket = self.out.pop()
                self.inflight.done(ticket)
                self.finished[ticket.lane[:2]].add(ticket.received.offset)
            self.commit()
            if self.inflight.unfinished == 0:
                break
        for partition, log in self.log.items():
            assert {each.offset for each in log} <= self.finished[partition], "a record was never delivered"
            assert not log or self.committed[partition] == log[-1].offset + 1


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_key_that_always_fails_blocks_no_other(keys: list[str]) -> None:
    inflight = holding(*(received(offset, key) for offset, key in enumerate(keys)), limit=2)
    delivered = []
    while (ticket := inflight.next(0.0)) is not None:
        if ticket.received.record.key == "a":
            inflight.retry(ticket, due=1.0)
        else:
            delivered.append(ticket.received.offset)
            inflight.done(ticket)
    assert sorted(delivered) == [offset for offset, key in enumerate(keys) if key != "a"]
