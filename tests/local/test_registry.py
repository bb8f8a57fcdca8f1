"""The registry of tests and demonstrations."""

from __future__ import annotations

import httpx
import pytest

from local.registry import server
from local.registry.server import PASSWORD, USER, Registry
from tests.real import require

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def installed() -> None:
    require("docker-registry", server.available(), server.INSTALL)


def test_a_registry_answers_at_its_address_until_it_is_closed() -> None:
    with Registry() as registry:
        assert httpx.get(f"http://{registry.address}/v2/_catalog").json() == {"repositories": []}
        folder = registry.folder
    assert not folder.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{registry.address}/v2/")


def test_a_guarded_registry_lets_only_its_user_in() -> None:
    with Registry(guarded=True) as registry:
        url = f"http://{registry.address}/v2/"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, auth=(USER, PASSWORD)).status_code == 200
