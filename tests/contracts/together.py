"""Many at once, to see who wins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


def run_together(work: Sequence[Callable[[], object]]) -> None:
    """Run all at once, each in a thread, and raise what any of them raised."""
    failed: list[BaseException] = []
    ready = threading.Barrier(len(work))

    def one(task: Callable[[], object]) -> None:
        ready.wait()
        try:
            task()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(task,)) for task in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error
