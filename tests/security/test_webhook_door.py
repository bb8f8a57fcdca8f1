"""The one door that the internet reaches: a delivery that was forged, changed, or played again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from functions_framework import create_app

from local.slack.buttons import Finger
from tests.e2e.system import REPOSITORY
from turnout import wiring
from turnout.adapters.settings import read_settings
from turnout.core.topics import PIPELINE_EVENTS
from turnout.stack.layout import source_of
from turnout.webhook import sign

SECRET = b"between GitHub and us"
BODY = json.dumps(
    {
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": "a" * 40,
        "head_commit": {"id": "a" * 40, "message": "Sell tea"},
        "repository": {
            "full_name": REPOSITORY,
            "clone_url": "https://github.com/x.git",
            "default_branch": "main",
        },
        "sender": {"login": "ada"},
    }
).encode()


@pytest.fixture
def webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    monkeypatch.setattr(wiring, "_made", None)
    monkeypatch.setenv("TURNOUT_HOME", str(tmp_path))
    monkeypatch.setenv("TURNOUT_WEBHOOK_SECRET", SECRET.decode())
    wiring.prepare(read_settings({"TURNOUT_HOME": str(tmp_path)}))
    yield create_app("webhook", str(source_of("webhook"))).test_client()
    wiring.wiring().store.close()


def deliver(webhook: FlaskClient, content: bytes = BODY, headers: Mapping[str, str] | None = None) -> Any:
    named = {
        "x-github-event": "push",
        "x-github-delivery": "d1",
        "x-hub-signature-256": sign(SECRET, BODY),
    } | {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    return webhook.post("/", data=content, headers=named)


def asked_for() -> int:
    """Messages that ask for a run."""
    tail = wiring.wiring().bus.tail([PIPELINE_EVENTS], from_start=True)
    try:
        return len(tail.poll(0.05))
    finally:
        tail.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"x_hub_signature_256": ""},
        {"x_hub_signature_256": sign(b"", BODY)},
        {"x_hub_signature_256": sign(b"guess", BODY)},
        {"x_hub_signature_256": sign(SECRET, BODY).removeprefix("sha256=")},
        {"x_hub_signature_256": sign(SECRET, BODY).upper()},
        {"x_hub_signature_256": "sha1=" + "0" * 40},
    ],
)
def test_a_forged_delivery_is_refused_and_leaves_nothing(
    webhook: FlaskClient, headers: dict[str, str]
) -> None:
    assert deliver(webhook, headers=headers).status_code == 401
    assert asked_for() == 0
    assert list(wiring.wiring().store.deliveries()) == []


def test_a_delivery_that_was_changed_on_the_way_is_refused(webhook: FlaskClient) -> None:
    changed = BODY.replace(b"refs/heads/main", b"refs/heads/evil")
    assert deliver(webhook, changed).status_code == 401
    assert deliver(webhook, BODY + b" ").status_code == 401
    assert asked_for() == 0


def test_a_delivery_that_is_played_again_asks_for_nothing_more(webhook: FlaskClient) -> None:
    first = deliver(webhook)
    for _ in range(5):
        again = deliver(webhook)
        assert (again.status_code, again.json["status"]) == (200, "known")
        assert again.json["run"] == first.json["run"]
    assert asked_for() == 1


def test_a_captured_body_under_another_delivery_id_is_believed(webhook: FlaskClient) -> None:
    """NOT stopped: GitHub signs the body and not its headers. Whoever has a body with its signature can have the same
    commit built again; TLS, and GitHub's own log of deliveries, are what keeps bodies from others."""
    deliver(webhook)
    assert deliver(webhook, headers={"x_github_delivery": "d2"}).status_code == 202
    assert asked_for() == 2


def test_who_does_not_sign_learns_nothing(webhook: FlaskClient) -> None:
    """Not whether a repository is served, nor whether a delivery is known."""
    deliver(webhook)
    unsigned = {"x_hub_signature_256": sign(b"guess", BODY)}
    told = {deliver(webhook, headers={"x_github_delivery": name, **unsigned}).text for name in ("d1", "d9")}
    told |= {deliver(webhook, b"{}", unsigned).text}
    assert len(told) == 1
    assert "acme" not in told.pop()


def test_without_a_secret_the_door_stays_shut(webhook: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_WEBHOOK_SECRET", "")
    monkeypatch.setattr(wiring, "_made", None)
    assert deliver(webhook).status_code == 503
    assert deliver(webhook, headers={"x_hub_signature_256": sign(b"", BODY)}).status_code == 503


@pytest.mark.parametrize("listens", [True, False])
def test_who_presses_no_button_of_ours_learns_nothing_either(
    listens: bool, webhook: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not whether anybody listens to buttons."""
    monkeypatch.setenv("TURNOUT_SLACK_TOKEN", "xoxb-test" if listens else "")
    monkeypatch.setenv("TURNOUT_SLACK_SIGNING_SECRET", "slack's" if listens else "")
    monkeypatch.setattr(wiring, "_made", None)
    forged = Finger("", "a guess").signed(b"payload={}")
    for headers in ({}, forged):
        answer = webhook.post("/slack/actions", data=b"payload={}", headers=headers)
        assert (answer.status_code, answer.json) == (401, {"error": "not signed by Slack"})
