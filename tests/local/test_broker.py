"""The real broker: what it has acknowledged is there after a SIGKILL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaTimeoutError

from local.kafka import broker
from local.kafka.broker import Broker
from tests.conftest import RunningKafka
from tests.real import require
from turnout.core.errors import PermanentError


@pytest.fixture(scope="module")
def running() -> Iterator[Broker]:
    require("Apache Kafka", broker.available(), broker.INSTALL)
    with Broker() as started:
        yield started


def make_topic(bootstrap: str, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        admin.close()


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    try:
        producer.send(topic, value).get(timeout=20)
    finally:
        producer.close()


def first_value(bootstrap: str, topic: str) -> bytes:
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None)
    try:
        for polled in iter(lambda: consumer.poll(timeout_ms=20_000), {}):
            for records in polled.values():
                value: bytes = records[0].value
                return value
        raise AssertionError("no record came within 20 s")
    finally:
        consumer.close()


@pytest.mark.real
def test_an_acknowledged_record_survives_a_sigkill(running: Broker) -> None:
    make_topic(running.bootstrap, "kept")
    produce(running.bootstrap, "kept", b"still here")
    killed = running.pid
    running.kill()
    assert not running.running

    running.start()

    assert running.pid != killed
    assert first_value(running.bootstrap, "kept") == b"still here"


@pytest.mark.real
def test_stop_and_start_keep_data_and_port(running: Broker) -> None:
    bootstrap = running.bootstrap
    make_topic(bootstrap, "stopped")
    produce(bootstrap, "stopped", b"one")
    running.stop()
    running.start()
    assert running.bootstrap == bootstrap
    assert first_value(bootstrap, "stopped") == b"one"


@pytest.mark.real
def test_topics_are_never_made_by_accident(running: Broker) -> None:
    producer = KafkaProducer(bootstrap_servers=running.bootstrap, max_block_ms=500)
    try:
        with pytest.raises(KafkaTimeoutError):
            producer.send("nobody.made.this", b"a typing error")
    finally:
        producer.close()


def test_the_session_broker_answers(kafka_broker: RunningKafka) -> None:
    make_topic(kafka_broker.bootstrap, "session.answers")
    produce(kafka_broker.bootstrap, "session.answers", b"yes")
    assert first_value(kafka_broker.bootstrap, "session.answers") == b"yes"


def test_without_a_java_it_says_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert not broker.available()
    with pytest.raises(PermanentError, match="needs Java 17") as raised, Broker(data=tmp_path / "data"):
        pass
    assert "make real-parts" in raised.value.hint


def test_a_java_that_is_too_old_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "java"
    old.write_text("""#!/bin/sh\necho 'openjdk version "11.0.2" 2019-01-15' >&2\n""")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: str(old) if name == "java" else None)
    assert broker.java() is None


def test_without_maven_the_missing_jars_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PermanentError, match="Maven"):
        broker.fetch_jars()


def test_jars_of_another_pom_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = broker.jar_folder()
    folder.mkdir(parents=True)
    (folder / "complete").write_text("the digest of an older pom")
    with pytest.raises(PermanentError, match="Maven"):
        broker.fetch_jars()
