"""Fixtures for all tests: a home of their own, and the real parts, each started once a session."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

from local.kafka import broker
from local.postgres import server
from tests.cluster import cluster
from tests.dockerd import dockerd
from tests.real import REQUIRED, require

# Tests that ask for one of these need a real part, whether or not they carry the marker themselves.
REAL_FIXTURES = frozenset(
    {"kafka_broker", "own_broker", "guarded_broker", "postgres", "postgres_database", "dockerd", "cluster"}
)
__all__ = ["cluster", "dockerd"]  # fixtures: each defined once, so that one serves the session
KAFKA = "TURNOUT_TEST_KAFKA"
DATABASE = "TURNOUT_TEST_DATABASE_URL"
PART = "INPUT_TESTS"
"""The input of our own pipeline (pipelines/turnout.yml): the folders and files that are run instead of all."""
KEPT = frozenset({REQUIRED, KAFKA, DATABASE})
PATIENT = (
    "sdk/test_hosting.py",
    "simulation/test_simulation.py",
    "stack/test_patient_worker.py",
    "e2e/test_loop.py",
    "e2e/test_attested.py",
    "sdk/test_remote_job.py",
    "test_dispatcher.py",
    "runtimes/test_process.py",
    "stack/test_supervisor.py",
)
"""The modules that take longest, mostly waiting: they are begun first, and wait beside the others."""

# No deadlines: they measure the machine. In CI the same examples each time: a gate must not be a lottery. Fewer than
# usual, for the fast suite's two minutes: `make fuzz` tries many more.
settings.register_profile(
    "turnout", deadline=None, max_examples=40, print_blob=True, derandomize="CI" in os.environ
)
settings.load_profile("turnout")


class RunningKafka(Protocol):
    @property
    def bootstrap(self) -> str:
        """``host:port``, for clients."""
        ...


class RunningPostgres(Protocol):
    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the server's first database."""
        ...

    def create_database(self, name: str) -> str:
        """Make an empty database; its URL."""
        ...

    def drop_database(self, name: str) -> None: ...


@dataclass(frozen=True)
class OutsideKafka:
    bootstrap: str


@dataclass(frozen=True)
class OutsidePostgres:
    url: str

    def create_database(self, name: str) -> str:
        return server.create_database(self.url, name)

    def drop_database(self, name: str) -> None:
        server.drop_database(self.url, name)


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = [config.rootpath / each for each in os.environ.get(PART, "").split()]
    below = any(
        collection_path.is_relative_to(each) or each.is_relative_to(collection_path) for each in wanted
    )
    return True if wanted and not below else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if REAL_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)
    items.sort(key=lambda item: not str(item.path).endswith(PATIENT))


def pytest_xdist_auto_num_workers() -> int:
    """More than there are cores: many tests wait for processes of theirs."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the user reaches the tests; longer-lived fixtures get a home of their own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [each for each in os.environ if each.startswith("TURNOUT_") and each not in KEPT]:
            patch.delenv(name)
        patch.setenv("TURNOUT_HOME", str(tmp_path_factory.mktemp("session")))
        yield


@pytest.fixture(autouse=True)
def turnout_home(
    session_home: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """TURNOUT_HOME of this test alone; its path is short enough for a socket in it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TURNOUT_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[RunningKafka]:
    """One real broker for the session, or the one at TURNOUT_TEST_KAFKA. Name topics and groups apart.

    A test that stops or kills its broker starts a `local.kafka.broker.Broker` of its own.
    """
    outside = os.environ.get(KAFKA)
    if outside:
        yield OutsideKafka(outside)
        return
    require("Apache Kafka", broker.available(), broker.INSTALL)
    with broker.Broker() as started:
        yield started


@pytest.fixture(scope="session")
def postgres() -> Iterator[RunningPostgres]:
    """One real server for the session, or the one at TURNOUT_TEST_DATABASE_URL."""
    outside = os.environ.get(DATABASE)
    if outside:
        yield OutsidePostgres(outside)
        return
    require("PostgreSQL", server.available(), server.INSTALL)
    with server.Postgres() as started:
        yield started


@pytest.fixture
def postgres_database(postgres: RunningPostgres) -> Iterator[str]:
    """The URL of an empty database of this test alone."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create_database(name)
    postgres.drop_database(name)
