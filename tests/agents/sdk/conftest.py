from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.sdk.forkserver import ForkServer
from tests.adapters.repositories import repository
from tests.agents.sdk.hosts import Bench, agents
from tests.agents.sdk.hosts import bench as make_bench


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository that no test changes, and its commit."""
    path = tmp_path_factory.mktemp("origin")
    return path, repository(path, a_dot_py="a = 1\n", src__b_dot_py="b = 2\n")


@pytest.fixture(scope="session")
def forks(session_home: None) -> Iterator[ForkServer]:
    """A zygote for all tests that do not hurt it."""
    made = ForkServer(sorted(agents().values()), "none")
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def bench(
    origin: tuple[Path, str], forks: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """A worker without a bus and without a sandbox, shared by the tests of a module: name tasks apart."""
    with make_bench(tmp_path_factory.mktemp("home"), *origin, forks=forks) as made:
        yield made
