"""The floor: five commands, one after another, and nothing around them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tests.bench.timeline import STAGES
from tests.peers.drivers import talking


def pipeline() -> list[int]:
    return [talking.command() for _ in range(STAGES)]


def main() -> None:
    pool = ThreadPoolExecutor(os.cpu_count() or 1)

    def one() -> dict[str, object]:
        sent = time.time_ns()
        return {"sent": sent, "answered": sent, "stamps": pipeline()}

    def end(asked: Future[list[int]]) -> Sequence[int]:
        return asked.result()

    talking.serve(one, lambda number: talking.burst(number, lambda: pool.submit(pipeline), end))


if __name__ == "__main__":
    main()
