"""Processes for the tests of the embedded log, to be killed: ``python -m tests.adapters.log_workers ROLE URL …``."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from turnout.adapters.embedded_log.bus import EmbeddedBus
from turnout.adapters.store.database import Database
from turnout.core.envelope import Record
from turnout.core.errors import Rebalanced
from turnout.core.ports import Position
from turnout.core.topics import AGENT_RESULTS, TOPICS

TOPIC = AGENT_RESULTS


def say(line: str) -> None:
    """In one write, so that a kill leaves whole lines."""
    os.write(1, f"{line}\n".encode())


def publish(url: str, worker: str, first: str) -> None:
    """Publish ``worker:0``, ``worker:1``, … for ever, each under one of three keys; say each once it is durable."""
    producer = EmbeddedBus(Database(url)).producer()
    number = int(first)
    while True:
        producer.publish([Record(TOPIC, f"{worker}-{number % 3}", f"{worker}:{number}".encode())])
        say(str(number))
        number += 1


def consume(url: str, member: str, file: str) -> None:
    """Append each record to ``file``, as its effect, and commit after that."""
    consumer = EmbeddedBus(Database(url), session_timeout=2).consumer("group", [TOPIC], member=member)
    effects = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    say("ready")
    while True:
        batch = consumer.poll(1, max_records=7)
        done: dict[int, int] = {}
        for each in batch:
            os.write(effects, f"{each.partition} {each.offset} {each.record.value.decode()}\n".encode())
            done[each.partition] = each.offset + 1
        try:
            consumer.commit([Position(TOPIC, partition, offset) for partition, offset in done.items()])
        except Rebalanced:
            continue  # somebody else does it again


def receive(url: str, count: str) -> None:
    """Say when each record, all of one key, was in hand, in nanoseconds since the epoch."""
    consumer = EmbeddedBus(Database(url)).consumer("receivers", [TOPIC])
    consumer.poll(0)
    say("ready")
    received: list[int] = []
    position = Position(TOPIC, 0, 0)
    while len(received) < int(count):
        for each in consumer.poll(5):
            received.append(time.time_ns())
            position = Position(TOPIC, each.partition, each.offset + 1)
    consumer.commit([position])
    consumer.close()
    say(json.dumps(received))


def answer(_url: str, count: str) -> None:
    """Say when each line was in hand: the least that waking another process takes here and now."""
    say("ready")
    received = []
    for _ in range(int(count)):
        sys.stdin.readline()
        received.append(time.time_ns())
    say(json.dumps(received))


def idle(url: str, seconds: str) -> None:
    """Wait on every topic, one consumer each, and say how much processor time that took, in seconds."""
    bus = EmbeddedBus(Database(url))
    bus.ensure_topics()
    consumers = [bus.consumer(f"group of {each.name}", [each.name]) for each in TOPICS]
    stop = threading.Event()

    def wait(index: int) -> None:
        while not stop.is_set():
            consumers[index].poll(60)

    for each in consumers:
        each.poll(0)
    threads = [threading.Thread(target=wait, args=(index,)) for index in range(len(consumers))]
    for thread in threads:
        thread.start()
    time.sleep(1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(float(seconds))
    after = resource.getrusage(resource.RUSAGE_SELF)
    say(str(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    stop.set()
    for each in consumers:
        each.wake()
    for thread in threads:
        thread.join()
    for each in consumers:
        each.close()


ROLES: Mapping[str, Callable[..., None]] = {
    "publish": publish,
    "consume": consume,
    "receive": receive,
    "answer": answer,
    "idle": idle,
}


def effects(file: Path) -> Sequence[tuple[int, int, str]]:
    """Partition, offset and value of each effect, in the order in which they happened."""
    lines = file.read_text().splitlines() if file.exists() else []
    split = (line.split() for line in lines)
    return [(int(partition), int(offset), value) for partition, offset, value in split]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ROLES[sys.argv[1]](*sys.argv[2:])
