"""What the store and the embedded log cost: ``python -m tests.bench.store [URL]``, in milliseconds, median and 95 %.

Without a URL: SQLite in a temporary folder, every commit synced to disk; what that alone takes is shown first.
A PostgreSQL database must be an empty one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.contracts.store_runs import Story, a_record, at, launched, started, task_record
from turnout.adapters.embedded_log.bus import EmbeddedBus
from turnout.adapters.store.database import Database
from turnout.adapters.store.schema import migrate
from turnout.adapters.store.sql_store import open_store
from turnout.core.envelope import Record
from turnout.core.topics import AGENT_RESULTS

ROUNDS = 200


def syncs(folder: Path) -> list[float]:
    """One page appended to a file and synced."""
    taken = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return taken


def commits(url: str, *, embedded: bool) -> list[float]:
    """A message that brings three events, the new state, an attempt and one record."""
    store = open_store(url, embedded=embedded)
    taken = []
    for number in range(ROUNDS):
        story = Story(store, f"{embedded}-{number}")
        story.begin(inbox=f"{story.id} begin", records=[a_record(key=story.id)])
        began = time.perf_counter()
        story.tell(
            *launched(story.name),
            started(story.name),
            inbox=f"{story.id} next",
            records=[task_record(story.name)],
            due_at=at(900),
        )
        taken.append(time.perf_counter() - began)
    store.close()
    return taken


def wake_ups(url: str) -> tuple[list[float], list[float]]:
    """From before a publish to the record in hand in another process, and the publish alone."""
    database = Database(url)
    bus = EmbeddedBus(database)
    bus.ensure_topics()
    producer = bus.producer()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.adapters.log_workers", "receive", url, str(ROUNDS)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    begun, published = [], []
    for _ in range(ROUNDS):
        time.sleep(0.005)  # long enough for it to be waiting
        began = time.perf_counter()
        begun.append(time.time_ns())
        producer.publish([Record(AGENT_RESULTS, "k", b"x" * 500)])
        published.append(time.perf_counter() - began)
    received = json.loads(child.stdout.readline())
    child.wait()
    child.stdout.close()
    database.close()
    return [(end - begin) / 1e9 for begin, end in zip(begun, received, strict=True)], published


def show(what: str, taken: list[float]) -> None:
    high = sorted(taken)[int(len(taken) * 0.95)]
    print(f"{what:48} {median(taken) * 1000:7.2f} {high * 1000:7.2f}")


def main() -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {ROUNDS} rounds")
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder, 'turnout.db')}"
        migrate(url)
        show("a sync of the disk, alone", syncs(Path(folder)))
        show("commit, the outbox is the log", commits(url, embedded=True))
        show("commit, records wait for Kafka", commits(url, embedded=False))
        received, published = wake_ups(url)
        show("publish", published)
        show("publish to received, in another process", received)


if __name__ == "__main__":
    main()
