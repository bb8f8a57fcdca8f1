"""Who may read the metrics, and what they get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.console.visiting import visit
from turnout.adapters.settings import read_settings
from turnout.core.access import Scope
from turnout.identifying import LOCAL
from turnout.wiring import Wiring, prepare


@pytest.fixture
def wired(tmp_path: Path) -> Iterator[Wiring]:
    made = Wiring(read_settings({"TURNOUT_HOME": str(tmp_path / "home")}))
    prepare(made.settings)
    yield made
    made.store.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_metrics_are_for_who_sees_everything_and_for_a_token_of_theirs_with_the_scope(wired: Wiring) -> None:
    make, owner = wired.identity.make_token, LOCAL + wired.identity.owner
    scraping, _ = make(owner, "prometheus", frozenset({Scope.METRICS}))
    acting, _ = make(owner, "acts", frozenset({Scope.ACT}))
    others, _ = make("grace", "prometheus", frozenset({Scope.METRICS}))
    with visit(wired) as client:
        assert client.get("/metrics").status_code == 401
        for token in (acting, others):
            assert client.get("/metrics", headers=bearer(token)).status_code == 403
        assert client.get("/metrics", headers=bearer(wired.settings.console_token())).status_code == 200
        answer = client.get("/metrics", headers=bearer(scraping))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"turnout_build_info", "turnout_bus_up", "turnout_retries"} <= names
