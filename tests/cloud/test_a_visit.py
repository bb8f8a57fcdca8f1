"""Somebody at the console, as it is served on Google Cloud: looks at everything, and does something."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.cloud.shop import FILES, Shop
from tests.cloud.stack import Cloud

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

PAGES = (
    "/runs",
    "/agents",
    "/ledger",
    "/deliveries",
    "/projects",
    "/settings/audit-log",
    "/settings/tokens",
    "/metrics",
    "/api/v1/dead-letters",
)


def test_somebody_looks_at_everything_and_makes_a_token(cloud: Cloud, shop: Shop) -> None:
    (run,) = shop.ended([shop.push("Sell tea to who looks", cart__py=FILES["cart.py"])])
    with httpx.Client(base_url=cloud.fronts["console"].url, timeout=30) as browser:
        assert browser.get("/runs").status_code == 303, "it asks who it is"
        assert browser.get(cloud.turnout("console-link").strip()).status_code == 303
        for page in (*PAGES, f"/runs/{run.id}", f"/runs/{run.id}/why"):
            assert browser.get(page).status_code == 200, page
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', browser.get("/settings/tokens").text)
        assert found is not None
        form = {"name": "ci", "scope": "read", "days": "1", "csrf": found[1]}
        assert browser.post("/settings/tokens", data=form).status_code == 200
    assert shop.refused() == []
