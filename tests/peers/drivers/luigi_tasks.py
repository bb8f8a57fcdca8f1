"""Luigi: five tasks that need each other, each with a file as its target; its own scheduler in the process."""

from __future__ import annotations

import os
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import luigi

from tests.bench.timeline import STAGES
from tests.peers.drivers import talking

FOLDER = Path(tempfile.mkdtemp(dir=os.environ["LUIGI_FOLDER"]))
numbers = count(1)


class Stage(luigi.Task):  # type: ignore[misc]  # luigi is not installed where types are checked
    run_number = luigi.IntParameter()
    number = luigi.IntParameter()

    def requires(self) -> Any:
        return [Stage(run_number=self.run_number, number=self.number - 1)] if self.number > 1 else []

    def output(self) -> Any:
        return luigi.LocalTarget(str(FOLDER / f"{self.run_number}-{self.number}"))

    def run(self) -> None:
        with self.output().open("w") as file:
            file.write(str(talking.command()))


def build(pipelines: int) -> list[list[int]]:
    """The stamps of each."""
    asked = [next(numbers) for _ in range(pipelines)]
    done = luigi.build(
        [Stage(run_number=each, number=STAGES) for each in asked],
        local_scheduler=True,
        no_lock=True,
        log_level="ERROR",
    )
    assert done, "Luigi says that a task has failed"
    return [[int((FOLDER / f"{each}-{n}").read_text()) for n in range(1, STAGES + 1)] for each in asked]


def one() -> dict[str, Any]:
    sent = time.time_ns()
    return {"sent": sent, "answered": sent, "stamps": build(1)[0]}


def burst(pipelines: int) -> dict[str, Any]:
    began = time.time_ns()
    stamps = build(pipelines)
    return {
        "pipelines": pipelines,
        "began": began,
        "taken": began,
        "ended": max(max(each) for each in stamps),
    }


if __name__ == "__main__":
    talking.serve(one, burst)
