"""Somebody at the console, as it is served on Google Cloud: looks at everything, and does something."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.cloud.shop import FILES, Shop
from tests.cloud.stack import Cloud
from turnout.core.model import Outcome

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
)


def test_somebody_looks_at_everything_and_has_a_run_done_again(cloud: Cloud, shop: Shop) -> None:
    (run,) = shop.ended([shop.push("Sell tea to who looks", cart__py=FILES["cart.py"])])
    with httpx.Client(base_url=cloud.fronts["console"].url, timeout=30) as browser:
        assert browser.get("/runs").status_code == 303, "it asks who it is"
        assert browser.get(cloud.turnout("console-link").strip()).status_code == 303
        for page in (*PAGES, f"/runs/{run.id}", f"/runs/{run.id}/why", f"/runs/{run.id}/stages/unit"):
            assert browser.get(page).status_code == 200, page
        letters = browser.get("/api/v1/dead-letters").json()
        assert letters is not None
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', browser.get("/settings/tokens").text)
        assert found is not None
        form = {"csrf": found[1]}
        again = browser.post(
            f"/runs/{run.id}/rerun", data=form, headers={"Origin": cloud.fronts["console"].url}
        )
        assert again.status_code in (200, 303), again.text
        assert browser.post("/sign-out", data=form).status_code in (200, 303)

    def second() -> str:
        return next(
            (row.id for row in shop.store.runs(limit=5) if row.sha == run.change.sha and row.id != run.id), ""
        )

    (repeated,) = shop.ended([shop.until(second, "it is done again")])
    assert repeated.outcome is Outcome.SUCCESS
    assert shop.refused() == []
