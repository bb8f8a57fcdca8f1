from __future__ import annotations

from datetime import timedelta

import pytest

from local.github.hub import Hub
from local.github.stand_in import StandIn
from local.github.webhooks import Fate, Webhook
from tests.cli.house import House
from tests.waiting import wait_until
from turnout.core.account import KINDS, SETTLE
from turnout.core.ports import Delivery


def received(house: House, delivery: str, ago: timedelta, status: str = "published") -> None:
    at = house.wiring.clock.now() - ago
    reason = "a tag" if status == "ignored" else ""
    house.store.update_delivery(
        Delivery(delivery, "github", "push", "acme/shop", status, at, reason=reason, message=delivery)
    )


def test_where_everything_is_accounted_for_the_exit_status_says_so(house: House) -> None:
    received(house, "d1", timedelta(hours=1), "ignored")
    received(house, "d2", timedelta(minutes=1))
    said = house.turnout("audit")
    assert said.status == 0
    assert "unaccounted: 0" in said.out
    assert "1 ignored" in said.out
    assert "GitHub was not asked: set TURNOUT_GITHUB_APP_ID" in said.out
    found = house.turnout("audit", "--json").json
    assert (found["unaccounted"], found["under_way"]) == (0, 1)
    assert [line["kind"] for line in found["lines"]] == list(KINDS)


def test_what_nobody_can_account_for_is_named_with_what_to_do(house: House) -> None:
    received(house, "lost-one", SETTLE + timedelta(minutes=1))
    said = house.turnout("audit")
    assert said.status == 1
    assert "unaccounted: 1" in said.out
    assert "lost-one" in said.out
    assert "it was handed over, and never answered" in said.out
    assert "turnout dead-letters" in said.out
    (row,) = house.turnout("audit", "--json").json["rows"]
    assert (row["kind"], row["id"], row["repository"]) == ("delivery", "lost-one", "acme/shop")
    assert house.turnout("audit", "--since", "10m").status == 0


def test_a_span_that_is_none_is_refused_with_what_was_expected(house: House) -> None:
    said = house.turnout("audit", "--since", "yesterday")
    assert said.status != 0
    assert "expected 90m, 12h, 3d" in said.err


def test_with_a_token_the_list_of_each_projects_webhook_is_compared(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = Webhook("http://127.0.0.1:1", "secret", number=3, fate=lambda _guid, _again: Fate(code=502))
    with StandIn(Hub(repository="acme/shop", webhooks={3: webhook})) as github:
        monkeypatch.setenv("TURNOUT_GITHUB_URL", github.url)
        monkeypatch.setenv("TURNOUT_GITHUB_TOKEN", "ghp_plain")
        folder = house.wiring.settings.projects_folder
        folder.mkdir()
        (folder / "shop.yml").write_text(
            f"project:\n  repository: acme/shop\n  provider: {{kind: github, base_url: '{github.url}'}}\n"
        )
        (folder / "broken.yml").write_text("project: 1\n")
        webhook.send("push", {})
        wait_until(lambda: webhook.quiet, 10, "it was tried", poll=0.01)
        found = house.turnout("audit", "--json").json
        webhook.close()
    assert found["lines"][0] == {"kind": "github", "total": 1, "parts": {}, "under_way": 1, "unaccounted": 0}
    assert not [note for note in found["notes"] if "list" in note]
