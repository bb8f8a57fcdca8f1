"""A Kubernetes cluster for the tests that need one, started once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.cluster import INSTALL, Cluster, available
from tests.real import require


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Real servers, nodes without containers (see `local.cluster`). A test makes its own `cluster.namespace()`.

    Whoever asks for it is a real test, with or without the marker.
    """
    require("a Kubernetes cluster (etcd, the API server, controllers, scheduler, kwok)", available(), INSTALL)
    with Cluster() as started:
        yield started
