"""The bus on a real Kafka keeps the contract, and what only Kafka can show."""

from __future__ import annotations

import uuid

import pytest

from tests.conftest import RunningKafka
from tests.contracts.bus import BusContract
from turnout.adapters.kafka import KafkaBus, KafkaSettings
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
