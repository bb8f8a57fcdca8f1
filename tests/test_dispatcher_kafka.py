"""The dispatcher on a real Kafka, while brokers and dispatchers are killed under it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local.kafka import broker
from local.kafka.broker import Broker
from tests.conftest import RunningKafka
from tests.listening import Function
from tests.real import require
from tests.waiting import wait_until
from turnout.adapters.kafka import KafkaBus, KafkaSettings
from turnout.core.envelope import Record
from turnout.core.errors import TransientError
from turnout.core.posting import Patience, Route
from turnout.core.topics import DEAD_LETTERS, HOUR, Topic
from turnout.dispatcher import Dispatcher, DispatcherSettings

GROUP = "functions"
KEYS = [f"run-{n}" for n in range(25)]
EACH = 20


class Log:
    """A topic of this test's own, with 500 records in 25 keys."""

    def __init__(self, bootstrap: str) -> None:
        self.topic = f"test.{uuid.uuid4().hex}"
        table = [Topic(self.topic, "", 6, HOUR, "a test"), Topic(DEAD_LETTERS, "", 1, HOUR, "a test")]
        self.settings = KafkaSettings(bootstrap, session_timeout=2)
        self.group = f"{GROUP}-{self.topic}"
        self.bus = KafkaBus(self.settings, table)
        self.bus.ensure_topics()

    def fill(self) -> None:
        producer = self.bus.producer()
        for number in range(EACH):
            producer.publish([Record(self.topic, key, f"{key}:{number}".encode()) for key in KEYS])
        producer.close()

    def lag(self) -> int:
        """Not committed yet; 1 while a broker that has just started cannot say."""
        try:
            return sum(self.bus.lag(self.group, [self.topic]).values())
        except TransientError:
            return 1


def assert_all_came_in_order(function: Function) -> None:
    """Every record at least once; one that came again is one whose commit was lost."""
    for key, bodies in function.by_key().items():
        assert list(dict.fromkeys(bodies)) == [f"{key}:{n}".encode() for n in range(EACH)]
    assert len(function.by_key()) == len(KEYS)


@contextmanager
def dispatching(log: Log, function: Function, settings: DispatcherSettings) -> Iterator[Dispatcher]:
    dispatcher = Dispatcher(log.bus, log.group, [Route(log.topic, function.url, 5)], settings=settings)
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        thread.join(60)
        assert not thread.is_alive()


@contextmanager
def dispatcher_process(log: Log, function: Function) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-c", PROCESS, log.settings.bootstrap, log.group, log.topic, function.url]
    with subprocess.Popen(argv) as process:
        try:
            yield process
        finally:
            process.kill()


PROCESS = """
import signal, sys
from turnout.adapters.kafka import KafkaBus, KafkaSettings
from turnout.dispatcher import Dispatcher, DispatcherSettings, Route

bootstrap, group, topic, url = sys.argv[1:]
bus = KafkaBus(KafkaSettings(bootstrap, session_timeout=2))
dispatcher = Dispatcher(bus, group, [Route(topic, url, 5)], settings=DispatcherSettings(buffer=20))
signal.signal(signal.SIGTERM, lambda *_: dispatcher.stop())
dispatcher.run()
"""


def test_every_record_is_delivered_once_in_order_and_committed(kafka_broker: RunningKafka) -> None:
    log = Log(kafka_broker.bootstrap)
    log.fill()
    with Function() as function, dispatching(log, function, DispatcherSettings()) as dispatcher:
        wait_until(lambda: log.lag() == 0, 60, "all committed", poll=0.1)
        assert_all_came_in_order(function)
        assert len(function.requests) == len(KEYS) * EACH
        assert dispatcher.progress().delivered == len(KEYS) * EACH


@pytest.mark.real
@pytest.mark.timeout(240)  # two starts of a broker
def test_a_broker_killed_in_the_middle_costs_no_record_and_no_order() -> None:
    require("Apache Kafka", broker.available(), broker.INSTALL)
    with Broker() as own:
        log = Log(own.bootstrap)
        log.fill()
        narrow = DispatcherSettings(buffer=20, patience=Patience(first=0.05))
        with Function() as function, dispatching(log, function, narrow) as dispatcher:
            wait_until(lambda: len(function.requests) >= 100, 60, "a good start", poll=0.001)
            own.kill()
            assert len(set(function.bodies())) < len(KEYS) * EACH, "the broker must go in the middle"
            own.start()
            wait_until(lambda: log.lag() == 0, 90, "all committed", poll=0.2)
            assert_all_came_in_order(function)
            assert dispatcher.progress().dead == 0


def test_a_dispatcher_killed_in_the_middle_is_replaced_by_the_other(kafka_broker: RunningKafka) -> None:
    log = Log(kafka_broker.bootstrap)
    with (
        Function() as function,
        dispatcher_process(log, function) as one,
        dispatcher_process(log, function) as two,
    ):
        wait_until(lambda: shared(log), 60, "both have their share", poll=0.1)
        log.fill()
        wait_until(lambda: len(function.requests) >= 100, 60, "a good start", poll=0.001)
        one.kill()
        wait_until(lambda: log.lag() == 0, 60, "all committed", poll=0.2)
        assert_all_came_in_order(function)
        two.send_signal(signal.SIGTERM)
        assert two.wait(20) == 0


def shared(log: Log) -> bool:
    """Whether the group has two members, and is not being shared out."""
    try:
        with log.bus._admin("looking at the group") as admin:
            group = admin.describe_groups([log.group])[log.group]
    except TransientError:
        return False  # a broker's first group has no coordinator yet
    return group["group_state"] == "Stable" and len(group["members"]) == 2
