"""Celery: a chain of five tasks; the broker and the result backend are Redis, the worker is another process."""

from __future__ import annotations

from typing import Any

from celery import chain

from tests.bench.timeline import STAGES
from tests.peers.drivers import talking
from tests.peers.drivers.celery_tasks import app, stage

PATIENCE = 600.0  # seconds


def begin() -> Any:
    return chain(stage.si() for _ in range(STAGES)).apply_async()


def end(asked: Any) -> list[int]:
    asked.get(timeout=PATIENCE)
    stamps: list[int] = []
    while asked is not None:
        stamps.insert(0, asked.get(timeout=PATIENCE))
        asked = asked.parent
    return stamps


def main() -> None:
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=50)
    while not app.control.ping(timeout=0.5):
        pass  # the worker comes up
    talking.serve(lambda: talking.one(begin, end), lambda number: talking.burst(number, begin, end))


if __name__ == "__main__":
    main()
