"""The bus on a real Kafka keeps the contract, and what only Kafka can show."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove

from local.kafka import broker
from local.kafka.broker import Broker
from local.server_process import free_port
from tests.conftest import RunningKafka
from tests.contracts.bus import BusContract, Reading, keys, records
from tests.real import require
from tests.waiting import wait_until
from turnout.adapters.kafka import KafkaBus, KafkaSettings
from turnout.core.envelope import Record
from turnout.core.errors import PermanentError, Rebalanced, TransientError, TurnoutError
from turnout.core.ports import Consumer
from turnout.core.topics import HOUR, Topic

SESSION = 1.5


def topics(count: int = 2) -> list[Topic]:
    name = uuid.uuid4().hex
    return [Topic(f"test.{name}.{number}", "", 6, HOUR, "a test") for number in range(count)]


def silence(consumer: Consumer) -> None:
    """End the consumer's I/O thread, so that it sends nothing any more: its process could as well be gone."""
    client = consumer._client  # type: ignore[attr-defined]
    client._client.close()
    consumer._closed = True  # type: ignore[attr-defined]


class KafkaHarness:
    patience = 20.0

    def __init__(self, bootstrap: str) -> None:
        self.table = topics()
        self.topic, self.other = (each.name for each in self.table)
        self.group = self.topic
        self.settings = KafkaSettings(bootstrap, session_timeout=SESSION)
        self.open().ensure_topics()

    def open(self) -> KafkaBus:
        return KafkaBus(self.settings, self.table)

    def kill(self, consumer: Consumer) -> None:
        silence(consumer)


class TestKafkaBus(BusContract):
    @pytest.fixture
    def harness(self, kafka_broker: RunningKafka) -> KafkaHarness:
        return KafkaHarness(kafka_broker.bootstrap)


# --- members ----------------------------------------------------------------------------------------


@pytest.fixture
def harness(kafka_broker: RunningKafka) -> KafkaHarness:
    return KafkaHarness(kafka_broker.bootstrap)


def joined(harness: KafkaHarness, bus: KafkaBus, member: str = "", others: Sequence[Reading] = ()) -> Reading:
    reading = Reading(bus.consumer(harness.group, [harness.topic], member=member))
    reading.until(reading.consumer.assignment, harness.patience, others)
    return reading


def publish(bus: KafkaBus, wanted: list[Record]) -> None:
    producer = bus.producer()
    producer.publish(wanted)
    producer.close()


def test_a_named_member_that_restarts_within_its_session_has_its_partitions_back_at_once(
    harness: KafkaHarness,
) -> None:
    long = KafkaBus(KafkaSettings(harness.settings.bootstrap, session_timeout=60), harness.table)
    one, two = (
        joined(harness, long, "one"),
        Reading(long.consumer(harness.group, [harness.topic], member="two")),
    )
    two.until(lambda: len(two.consumer.assignment()) == 3, harness.patience, [one])
    one.until(lambda: len(one.consumer.assignment()) == 3, harness.patience, [two])
    its_own, others = one.consumer.assignment(), two.consumer.assignment()
    silence(one.consumer)
    began = time.monotonic()
    again = joined(harness, long, "one", others=[two])
    assert time.monotonic() - began < 10
    assert again.consumer.assignment() == its_own
    two.poll()
    assert two.consumer.assignment() == others
    again.consumer.close()
    two.consumer.close()


def test_a_replaced_member_is_told_once_it_has_tried_to_commit(harness: KafkaHarness) -> None:
    bus = harness.open()
    publish(bus, records(harness.topic, ["a"]))
    old = joined(harness, bus, "one")
    old.count(1, harness.patience)
    new = joined(harness, bus, "one")
    with pytest.raises(Rebalanced):
        old.consumer.commit(old.after(*old.seen))
    with pytest.raises(PermanentError, match="member name of its own"):
        old.poll()
    old.consumer.close()
    assert new.consumer.assignment()
    new.poll(1)
    assert len(new.consumer.assignment()) == 6, "the old one's end must not throw the new one out"
    new.consumer.close()


def test_a_member_that_is_thrown_out_sees_its_partitions_go_before_they_come_back(
    harness: KafkaHarness,
) -> None:
    bus = harness.open()
    publish(bus, records(harness.topic, keys(6)))
    reading = joined(harness, bus)
    reading.count(6, harness.patience)
    with bus._admin("throwing a member out") as admin:
        member = reading.consumer._client.group_metadata().member_id  # type: ignore[attr-defined]
        admin.remove_group_members(harness.group, [MemberToRemove(member_id=member)])
    owned: list[int] = []

    def look() -> bool:
        owned.append(len(reading.consumer.assignment()))
        return len(reading.seen) == 12

    reading.until(look, harness.patience)
    assert 0 in owned[:-1]
    assert owned[-1] == 6
    reading.consumer.close()


def test_a_join_that_outlasts_a_poll_is_finished_by_the_next(harness: KafkaHarness) -> None:
    """New partitions make a member join again; kafka-python forgot such a join when its poll ended first."""
    bus = harness.open()
    reading = joined(harness, bus)
    with bus._admin("adding partitions") as admin:
        admin.create_partitions({harness.topic: 9})
    client = reading.consumer._client  # type: ignore[attr-defined]
    deadline = time.monotonic() + harness.patience
    while len(reading.consumer.assignment()) < 9:
        assert time.monotonic() < deadline, "the new partitions never came"
        client._cluster.request_update()
        reading.poll(0)
    publish(bus, records(harness.topic, keys(20)))
    reading.count(20, harness.patience)
    reading.consumer.close()


def test_a_log_that_was_cut_short_is_read_on_from_the_cut_and_seen_as_lost(harness: KafkaHarness) -> None:
    """As after an unclean election; here by making the topic anew, shorter, under the reader's hands."""
    bus = harness.open()
    publish(bus, records(harness.topic, ["a"], each=3))
    reading = joined(harness, bus)
    reading.count(3, harness.patience)
    with bus._admin("deleting") as admin:
        admin.delete_topics([harness.topic])
    bus.ensure_topics()
    publish(bus, records(harness.topic, ["a"], each=2))
    cut = TopicPartition(harness.topic, reading.seen[0].partition)
    client = reading.consumer._client  # type: ignore[attr-defined]
    reading.until(lambda: client.position(cut, timeout_ms=1000) == 2, 40)
    publish(bus, [Record(harness.topic, "a", b"after")])
    owned: list[bool] = []

    def look() -> bool:
        owned.append(tuple(cut) in reading.consumer.assignment())
        return len(reading.seen) > 3

    reading.until(look, harness.patience)
    assert False in owned
    assert [(each.offset, each.record.value) for each in reading.seen[3:]] == [(2, b"after")]
    reading.consumer.close()


# --- topics -----------------------------------------------------------------------------------------


def test_topics_are_made_as_the_table_says(harness: KafkaHarness) -> None:
    with harness.open()._admin("looking") as admin:
        (described,) = admin.describe_topics([harness.topic])
        assert len(described["partitions"]) == 6
        configs = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, harness.topic)])
    assert "3600000" in str(configs)


def test_a_topic_that_is_not_there_is_named(harness: KafkaHarness) -> None:
    bus = harness.open()
    for use in (
        lambda: bus.consumer("group", ["no.such"]),
        lambda: bus.tail(["no.such"]),
        lambda: bus.lag("group", ["no.such"]),
    ):
        with pytest.raises(TransientError, match=r"no\.such"):
            use()
    producer = bus.producer()
    with pytest.raises(TransientError, match=r"no\.such"):
        producer.publish([Record("no.such", "a", b"")], timeout=0.5)
    producer.close()


# --- brokers that are away --------------------------------------------------------------------------


@pytest.mark.real
def test_a_broker_that_is_away_is_named_and_leaves_no_thread_behind() -> None:
    bootstrap = f"127.0.0.1:{free_port()}"
    bus = KafkaBus(KafkaSettings(bootstrap, connect_timeout=0.5))
    before = set(threading.enumerate())
    for use in (
        lambda: bus.producer().publish(records("a.topic", ["a"])),
        lambda: bus.consumer("group", ["a.topic"]),
        lambda: bus.tail(["a.topic"]),
        lambda: bus.lag("group", ["a.topic"]),
        bus.ensure_topics,
    ):
        with pytest.raises(TransientError, match=bootstrap):
            use()
    wait_until(lambda: set(threading.enumerate()) <= before, 5, "no thread is left")


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    require("Apache Kafka", broker.available(), broker.INSTALL)
    with Broker() as started:
        yield started


def test_a_consumer_and_a_producer_outlive_a_broker_that_is_killed(own_broker: Broker) -> None:
    harness = KafkaHarness(own_broker.bootstrap)
    bus = harness.open()
    producer = bus.producer()
    producer.publish(records(harness.topic, ["a"], each=3))
    reading = joined(harness, bus)
    reading.count(3, harness.patience)
    reading.consumer.commit(reading.after(*reading.seen))

    own_broker.kill()
    with pytest.raises(TransientError):
        producer.publish([Record(harness.topic, "a", b"reported as failed")], timeout=1)
    reading.poll(0.5)
    own_broker.start()

    producer.publish(records(harness.topic, ["b"], each=3), timeout=30)
    reading.until(lambda: b"b:2" in reading.values(), 40)
    assert reading.values()[-3:] == [b"b:0", b"b:1", b"b:2"]
    assert b"reported as failed" not in reading.values()
    reading.until(lambda: committed(reading), 20)
    assert sum(bus.lag(harness.group, [harness.topic]).values()) == 0
    reading.consumer.close()
    producer.close()


def committed(reading: Reading) -> bool:
    try:
        reading.consumer.commit(reading.after(*reading.seen))
    except TransientError:
        return False
    return True


def test_a_commit_while_the_broker_is_away_can_be_tried_again(own_broker: Broker) -> None:
    harness = KafkaHarness(own_broker.bootstrap)
    bus = harness.open()
    publish(bus, records(harness.topic, ["a"]))
    reading = joined(harness, bus)
    reading.count(1, harness.patience)
    own_broker.kill()
    with pytest.raises(TransientError):
        reading.consumer.commit(reading.after(*reading.seen))
    own_broker.start()
    reading.until(lambda: committed(reading), 40)
    reading.consumer.close()


def test_a_forked_process_has_a_producer_of_its_own(harness: KafkaHarness) -> None:
    """In a process without other threads, as a function's master is, which imports and then forks."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED, harness.settings.bootstrap, harness.topic],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tail = Reading(harness.open().tail([harness.topic], from_start=True))
    tail.count(30, harness.patience)
    assert Counter(each.record.key for each in tail.seen) == {"parent": 20, "child": 10}
    tail.consumer.close()


FORKED = """
import os, sys
from turnout.adapters.kafka import KafkaBus, KafkaSettings
from turnout.core.envelope import Record

bootstrap, topic = sys.argv[1:]
producer = KafkaBus(KafkaSettings(bootstrap)).producer()
for n in range(10):
    producer.publish([Record(topic, "parent", b"%d" % n)])
child = os.fork()
for n in range(10):
    producer.publish([Record(topic, "child" if child == 0 else "parent", b"%d" % n)])
producer.close()
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


# --- signing in -------------------------------------------------------------------------------------


@pytest.fixture
def guarded_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """A broker that lets in the user ``turnout`` with the password ``open sesame``."""
    require("Apache Kafka", broker.available(), broker.INSTALL)
    login = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        'username="turnout" password="open sesame" user_turnout="open sesame";'
    )
    settings = broker.OPEN.replace("map=PLAINTEXT:PLAINTEXT", "map=PLAINTEXT:SASL_PLAINTEXT")
    settings += "sasl.enabled.mechanisms=PLAIN\nsasl.mechanism.inter.broker.protocol=PLAIN\n"
    settings += f"listener.name.plaintext.plain.sasl.jaas.config={login}\n"
    monkeypatch.setattr(broker, "OPEN", settings)
    with Broker() as started:
        yield started


@pytest.mark.real
def test_who_signs_in_gets_in_and_who_does_not_is_told_so(guarded_broker: Broker) -> None:
    def bus(password: str) -> KafkaBus:
        settings = KafkaSettings(
            guarded_broker.bootstrap, "SASL_PLAINTEXT", "PLAIN", username="turnout", password=password,
            connect_timeout=5,
        )  # fmt: skip
        return KafkaBus(settings, topics(1))

    bus("open sesame").ensure_topics()
    with pytest.raises(TurnoutError, match="check the SASL mechanism, user name and password"):
        bus("guess").ensure_topics()
