"""DBOS: a workflow with five steps, in its own process; ``DBOS_DATABASE`` names the database that remembers them."""

from __future__ import annotations

import os
from typing import Any

from dbos import DBOS

from tests.bench.timeline import STAGES
from tests.peers.drivers import talking


@DBOS.step()  # type: ignore[untyped-decorator]  # dbos is not installed where types are checked
def stage() -> int:
    return talking.command()


@DBOS.workflow()  # type: ignore[untyped-decorator]
def pipeline() -> list[int]:
    return [stage() for _ in range(STAGES)]


def begin() -> Any:
    return DBOS.start_workflow(pipeline)


def end(asked: Any) -> list[int]:
    return list(asked.get_result())


def main() -> None:
    DBOS(
        config={
            "name": "side-by-side",
            "system_database_url": os.environ["DBOS_DATABASE"],
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    talking.serve(lambda: talking.one(begin, end), lambda number: talking.burst(number, begin, end))
    DBOS.destroy()


if __name__ == "__main__":
    main()
