"""Publishing to Kafka: idempotent, acknowledged by all in-sync replicas, in order of the key."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from kafka import errors

from turnout.adapters.kafka_client import translate
from turnout.adapters.limits import BROKER_MAX_BYTES, refuse_large
from turnout.core.envelope import Record
from turnout.core.errors import PermanentError, TransientError

MAX_BLOCK = 5.0
"""Seconds that a first record for a topic waits for the topic's metadata."""

PRODUCER_OPTIONS: dict[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 0,
    "max_block_ms": int(MAX_BLOCK * 1000),
    "max_request_size": BROKER_MAX_BYTES,
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}


class KafkaBusProducer:
    """Thread-safe. Connects when first used, anew in a forked process, and anew after a failure.

    A producer of kafka-python whose publish has failed is given up with all that it still holds: what was
    reported as failed does not turn up later, and a new one has a sequence of its own.
    """

    def __init__(self, make: Callable[[float], Any]) -> None:
        """``make`` connects within so many seconds."""
        self._make = make
        self._lock = threading.Lock()
        self._client: Any = None
        self._process = 0
        self._inherited: list[Any] = []
        self._closed = False

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:
        for record in records:
            refuse_large(record)
        if not records:
            return
        deadline = time.monotonic() + timeout
        client = self._connected(timeout)
        try:
            sent = [
                client.send(
                    record.topic,
                    key=record.key.encode(errors="surrogateescape"),
                    value=record.value,
                    headers=list(record.headers),
                )
                for record in records
            ]
            for each in sent:
                each.get(timeout=max(deadline - time.monotonic(), 0.001))
        except (errors.KafkaError, ValueError, TypeError, AssertionError) as error:
            self._give_up(client)
            raise _failure(error, records, timeout) from error

    def close(self) -> None:
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None and self._process == os.getpid():
            _abandon(client)  # every publish has waited for its records: there is nothing to lose

    def _connected(self, timeout: float) -> Any:
        with self._lock:
            if self._closed:
                raise PermanentError("this producer is closed", "ask the bus for another one")
            if self._client is not None and self._process != os.getpid():
                self._inherited.append(
                    self._client
                )  # its thread and its sockets are the parent's: leave it alone
                self._client = None
            if self._client is None:
                self._client = self._make(timeout)
                self._process = os.getpid()
            return self._client

    def _give_up(self, client: Any) -> None:
        with self._lock:
            if self._client is client:
                self._client = None
        _abandon(client)


def _abandon(client: Any) -> None:
    """Fail what has not been sent, and close: `close` by itself would wait for that, and then leave it all open."""
    client._sender.force_close()
    client._sender.join(timeout=5)
    client.close(timeout=0)


def _failure(error: Exception, records: Sequence[Record], timeout: float) -> Exception:
    topics = ", ".join(sorted({each.topic for each in records}))
    if isinstance(error, errors.KafkaTimeoutError):
        return TransientError(
            f"Kafka did not acknowledge {len(records)} records for {topics} within {timeout:g} s",
            "check that a broker runs and that the topic exists",
        )
    return translate(error, f"publishing {len(records)} records to {topics}")
