"""A Docker Engine for the tests that need one, started once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.docker import daemon
from local.docker.daemon import Dockerd
from tests.real import require


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """Its images and containers go with it. Containers on its bridge, the default network, reach this machine at
    ``dockerd.address``, and nothing else; ``dockerd.environ`` is for programs that speak to it.

    Whoever asks for it is a real test, with or without the marker.
    """
    require("a Docker Engine (Debian's docker.io, as root)", daemon.available(), daemon.INSTALL)
    with Dockerd() as started:
        yield started
