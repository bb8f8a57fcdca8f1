"""The store whose outbox is the log: what is committed is on the bus, in the same transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.contracts.store import StoreContract
from tests.contracts.store_runs import (
    Story,
    a_delivery,
    a_record,
    at,
    attempt_of,
    created,
    task_record,
    trigger_record,
)
from turnout.adapters.embedded_log.bus import EmbeddedBus
from turnout.adapters.store.sql_store import SqlStore, open_store
from turnout.core.errors import Conflict, PermanentError
from turnout.core.ports import Commit, Position
from turnout.core.topics import AGENT_LOGS, AGENT_REPORT, PIPELINE_EVENTS


@pytest.fixture
def store(sqlite_database: str) -> Iterator[SqlStore]:
    opened = open_store(sqlite_database, embedded=True, synchronous="NORMAL")
    yield opened
    opened.close()


@pytest.fixture
def bus(store: SqlStore) -> EmbeddedBus:
    return EmbeddedBus(store.database, session_timeout=1, clock=lambda: at(0).timestamp())


class TestEmbeddedStoreOnSqlite(StoreContract):
    @pytest.fixture
    def store(self, sqlite_database: str) -> Iterator[SqlStore]:
        opened = open_store(sqlite_database, embedded=True, synchronous="NORMAL")
        yield opened
        opened.close()


class TestEmbeddedStoreOnPostgres(StoreContract):
    @pytest.fixture
    def store(self, postgres_tables: str) -> Iterator[SqlStore]:
        opened = open_store(postgres_tables, embedded=True)
        yield opened
        opened.close()


def read_all(bus: EmbeddedBus, *topics: str) -> list[bytes]:
    tail = bus.tail(topics, from_start=True)
    try:
        return [each.record.value for each in tail.poll(0, max_records=10_000)]
    finally:
        tail.close()


def kept(store: SqlStore) -> int:
    with store.database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM outbox")).scalar_one())


def test_what_a_commit_sends_is_on_the_bus_and_nothing_is_left_to_publish(
    store: SqlStore, bus: EmbeddedBus
) -> None:
    tail = bus.tail([AGENT_REPORT])
    sent = [a_record(key="k", id=f"m{number}") for number in range(3)]
    assert list(Story(store).begin(records=sent)) == []
    assert [each.record for each in tail.poll(5)] == sent
    assert store.unpublished() == []
    tail.close()


def test_what_a_refused_commit_would_have_sent_is_not_on_the_bus(store: SqlStore, bus: EmbeddedBus) -> None:
    Story(store).begin()
    with pytest.raises(Conflict):
        Story(store).begin(records=[a_record()])
    assert read_all(bus, AGENT_REPORT) == []
    Story(store, "two").begin(records=[a_record()])
    tail = bus.tail([AGENT_REPORT], from_start=True)
    assert [each.offset for each in tail.poll(0)] == [0], "a refused commit takes no offset"
    tail.close()


def test_a_record_that_is_too_large_refuses_the_whole_commit(store: SqlStore) -> None:
    story = Story(store)
    with pytest.raises(PermanentError, match=AGENT_REPORT):
        story.begin(records=[replace(a_record(), value=bytes(2_000_000))])
    assert store.load(story.id) is None


def test_commits_and_a_producer_share_one_order_per_key(store: SqlStore, bus: EmbeddedBus) -> None:
    producer = bus.producer()
    for number in range(6):
        record = a_record(key="same", id=str(number))
        if number % 2:
            producer.publish([record])
        else:
            Story(store, str(number)).begin(records=[record])
    tail = bus.tail([AGENT_REPORT], from_start=True)
    read = tail.poll(0)
    tail.close()
    assert [each.offset for each in read] == list(range(6))
    assert [dict(each.record.headers)["ce_id"] for each in read] == [str(n).encode() for n in range(6)]


def test_a_task_of_a_launch_that_nobody_took_up_can_be_sent_again(store: SqlStore, bus: EmbeddedBus) -> None:
    story = Story(store)
    story.begin()
    story.launch()
    waiting = store.unfinished_launches(at(60))
    assert [row.id for row in waiting] == [attempt_of("one")]
    store.commit(Commit(None, story.state.version, (), (task_record("one"),), at(60)))
    values = read_all(bus, "agent.test")
    assert len(values) == 2
    assert values[0] == values[1]


def test_an_unanswered_trigger_names_its_record(store: SqlStore) -> None:
    store.commit(Commit(None, 0, (), (trigger_record("m1"),), at(0), delivery=a_delivery(status="published")))
    assert [row.record for row in store.unanswered(at(5))] == [trigger_record("m1")]


# --- retention --------------------------------------------------------------------------------------


def test_records_stay_for_their_topics_retention_even_when_read(store: SqlStore, bus: EmbeddedBus) -> None:
    bus.producer().publish([a_record(AGENT_LOGS), a_record(AGENT_REPORT)])
    assert store.prune(at(5 * 3600)) == 0
    assert store.prune(at(7 * 3600)) == 1
    assert len(read_all(bus, AGENT_LOGS, AGENT_REPORT)) == 1
    assert store.prune(at(0) + timedelta(days=8)) == 1


def test_a_record_that_a_group_has_not_read_stays_but_not_for_ever(store: SqlStore, bus: EmbeddedBus) -> None:
    bus.producer().publish([a_record(key="k", id="0"), a_record(key="k", id="1")])
    slow = bus.consumer("slow", [AGENT_REPORT])
    quick = bus.consumer("quick", [AGENT_REPORT])
    for consumer, done in ((slow, 1), (quick, 2)):
        read = [each for _ in range(3) for each in consumer.poll(0)]
        consumer.commit([Position(AGENT_REPORT, read[0].partition, done)])
        consumer.close()
    assert store.prune(at(0) + timedelta(days=8)) == 1
    assert sum(bus.lag("slow", [AGENT_REPORT]).values()) == 1
    assert store.prune(at(0) + timedelta(days=27)) == 0
    assert store.prune(at(0) + timedelta(days=29)) == 1
    assert sum(bus.lag("slow", [AGENT_REPORT]).values()) == 0, "what has been pruned is no lag"


def test_a_reader_goes_on_after_a_gap_that_pruning_made(store: SqlStore, bus: EmbeddedBus) -> None:
    bus.producer().publish([a_record(AGENT_LOGS, "k", "old")])
    assert store.prune(at(0) + timedelta(days=2)) == 1
    assert bus.lag("group", [AGENT_LOGS]) == {(AGENT_LOGS, number): 0 for number in range(6)}
    consumer, tail = bus.consumer("group", [AGENT_LOGS]), bus.tail([AGENT_LOGS], from_start=True)
    assert list(consumer.poll(0)) == []
    bus.producer().publish([a_record(AGENT_LOGS, "k", "new")])
    for reader in (consumer, tail):
        assert [(each.offset, dict(each.record.headers)["ce_id"]) for each in reader.poll(5)] == [(1, b"new")]
        reader.close()


def test_a_long_log_is_pruned_batch_by_batch(store: SqlStore, bus: EmbeddedBus) -> None:
    bus.producer().publish([a_record(AGENT_LOGS, "k", str(number)) for number in range(1101)])
    assert store.prune(at(0) + timedelta(days=2)) == 1101
    assert kept(store) == 0


def test_the_embedded_log_has_its_topics_made_once(store: SqlStore, bus: EmbeddedBus) -> None:
    bus.ensure_topics()
    Story(store).tell(created("one"), records=[trigger_record("m1")])
    bus.ensure_topics()
    assert sum(bus.lag("group", [PIPELINE_EVENTS]).values()) == 1
