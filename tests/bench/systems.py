"""The systems that are measured side by side, and what they need around them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Protocol

import psycopg

from local.kafka.broker import Broker
from local.postgres.server import Postgres
from tests.bench.buildbot_pipelines import BuildbotPipelines
from tests.bench.timeline import Burst, Timeline
from tests.bench.turnout_stack import TurnoutStack
from tests.peers.driven import Celery, Driven


class System(Protocol):
    name: str

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def one(self) -> Timeline:
        """A pipeline, and when it has ended, what it took."""
        ...

    def burst(self, pipelines: int) -> Burst: ...

    def memory(self) -> float:
        """Megabytes, proportional set size, of what is the system's own; databases and brokers are not."""
        ...


NAMES: dict[str, str] = {
    "turnout": "Turnout (SQLite, sandbox)",
    "turnout-open": "Turnout (SQLite, no sandbox)",
    "turnout-kafka": "Turnout (Kafka + PostgreSQL, sandbox)",
    "turnout-kafka-open": "Turnout (Kafka + PostgreSQL, no sandbox)",
    "buildbot": "Buildbot 4.3 (webhook, remote workers)",
    "celery": "Celery 5.7 (chain, Redis)",
    "dbos-sqlite": "DBOS 3.4 (SQLite)",
    "dbos-postgresql": "DBOS 3.4 (PostgreSQL)",
    "luigi": "Luigi 3.8",
    "bare": "bare subprocess",
}
OURS = tuple(name for name in NAMES if name.startswith("turnout"))
OPEN = {"TURNOUT_SANDBOX": "none"}


class Surroundings:
    """Databases and a broker, each started when it is first asked for, and ended with the ``stack``."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self.folder = folder

    @cached_property
    def postgres(self) -> Postgres:
        """One that waits for the disk: the local one of the tests does not."""
        server = self._stack.enter_context(Postgres())
        with psycopg.connect(plain(server.url), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = on")
            connection.execute("ALTER SYSTEM SET full_page_writes = on")
            connection.execute("SELECT pg_reload_conf()")
        return server

    def database(self, name: str) -> str:
        return self.postgres.create_database(name.replace("-", "_"))

    def broker(self) -> Broker:
        return self._stack.enter_context(Broker())


def plain(url: str) -> str:
    """Without SQLAlchemy's driver name."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def make(name: str, around: Surroundings) -> System:
    """Raises: ValueError for a name that is not in `NAMES`."""
    folder = around.folder / name
    match name:
        case "turnout":
            return TurnoutStack(name, folder)
        case "turnout-open":
            return TurnoutStack(name, folder, OPEN)
        case "turnout-kafka" | "turnout-kafka-open":
            shared = {
                "TURNOUT_KAFKA_BOOTSTRAP": around.broker().bootstrap,
                "TURNOUT_DATABASE_URL": around.database(name),
            }
            return TurnoutStack(name, folder, shared | (OPEN if name.endswith("open") else {}))
        case "buildbot":
            return BuildbotPipelines(name, folder, workers=os.cpu_count() or 1)
        case "celery":
            return Celery(name, folder)
        case "dbos-sqlite":
            folder.mkdir(parents=True)
            return Driven(
                name, folder, "dbos_workflow", {"DBOS_DATABASE": f"sqlite:///{folder / 'dbos.sqlite'}"}
            )
        case "dbos-postgresql":
            return Driven(name, folder, "dbos_workflow", {"DBOS_DATABASE": plain(around.database(name))})
        case "luigi":
            (folder / "targets").mkdir(parents=True)
            return Driven(name, folder, "luigi_tasks", {"LUIGI_FOLDER": str(folder / "targets")})
        case "bare":
            return Driven(name, folder, "bare")
        case _:
            raise ValueError(f"{name!r} is no system; known are {', '.join(NAMES)}")


@contextmanager
def running(names: Sequence[str], folder: Path, warm_up: int = 3) -> Iterator[list[System]]:
    """All of them up at once, each having run a few pipelines."""
    with ExitStack() as stack:
        around = Surroundings(stack, folder)
        made = []
        for name in names:
            system = make(name, around)
            stack.callback(system.stop)
            system.start()
            for _ in range(warm_up):
                system.one()
            made.append(system)
        yield made
