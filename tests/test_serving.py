from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from functions_framework import create_app
from werkzeug.test import Client

from turnout import wiring
from turnout.core.policy import gateway_token
from turnout.serving import served
from turnout.stack.layout import FUNCTIONS, source_of
from turnout.webhook import sign

FUNCTION = """
import functions_framework
from turnout.adapters.settings import InvalidSettings
from turnout.core.errors import InvalidEnvelope, NotFound, PermanentError, TransientError
from turnout.serving import answering

ERRORS = {
    "none": None,
    "defect": ZeroDivisionError("of the value hunter2"),
    "envelope": InvalidEnvelope("data.run: Field required"),
    "permanent": PermanentError("Slack refuses the token", "check TURNOUT_SLACK_TOKEN"),
    "missing": NotFound("no run r1"),
    "transient": TransientError("the broker is away"),
    "asked": TransientError("Slack is busy", retry_after=2.2),
    "soon": TransientError("claimed", retry_after=0.2),
    "settings": InvalidSettings("TURNOUT_LEASE: no"),
}

@functions_framework.http
@answering
def handled(envelope):
    error = ERRORS[envelope.data["raise"]]
    if error is not None:
        raise error
"""
CE = {"ce-id": "m1", "ce-source": "/s", "ce-type": "t", "ce-specversion": "1.0"}


@pytest.fixture(params=["functions-framework", "the stack"])
def handled(tmp_path: Path, request: pytest.FixtureRequest) -> Client:
    (tmp_path / "main.py").write_text(FUNCTION)
    if request.param == "the stack":
        found: dict[str, Any] = {}
        exec(compile(FUNCTION, "main.py", "exec"), found)
        return Client(served(found["handled"]))
    client: Client = create_app("handled", str(tmp_path / "main.py")).test_client()
    return client


def post(client: Client, wanted: str) -> Any:
    return client.post("/", json={"raise": wanted}, headers=CE)


@pytest.mark.parametrize(
    ("wanted", "status", "text", "after"),
    [
        ("none", 200, "OK", None),
        ("envelope", 422, "data.run: Field required\n", None),
        ("permanent", 422, "Slack refuses the token (check TURNOUT_SLACK_TOKEN)\n", None),
        ("missing", 422, "no run r1\n", None),
        ("transient", 503, "the broker is away\n", None),
        ("asked", 503, "Slack is busy\n", "3"),
        ("soon", 503, "claimed\n", "1"),
        ("settings", 503, "TURNOUT_LEASE: no\n", None),
    ],
)
def test_an_error_is_answered_by_whether_trying_again_can_help(
    handled: Client, wanted: str, status: int, text: str, after: str | None
) -> None:
    answer = post(handled, wanted)
    assert (answer.status_code, answer.text, answer.headers.get("Retry-After")) == (status, text, after)


def test_only_posts_are_answered(handled: Client) -> None:
    answer = handled.get("/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_who_does_not_show_the_token_is_refused(handled: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_FUNCTION_TOKEN", "let me in")
    assert post(handled, "none").status_code == 403
    shown = {"authorization": "Bearer let me in"}
    assert handled.post("/", json={"raise": "none"}, headers=CE | shown).status_code == 200


def test_a_defect_is_an_error_that_shows_nothing_of_itself(handled: Client) -> None:
    answer = post(handled, "defect")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


# --- the functions, with something wrong around them -----------------------------------------------------


def client(name: str, monkeypatch: pytest.MonkeyPatch, **settings: str) -> FlaskClient:
    """The function in this process, with these settings."""
    monkeypatch.setattr(wiring, "_made", None)
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    found: FlaskClient = create_app(name, str(source_of(name))).test_client()
    return found


def called(function: FlaskClient, name: str) -> Any:
    if name == "sweeper":
        return function.post("/")
    if name == "webhook":
        body = json.dumps({"zen": "…"}).encode()
        signature = {"x-hub-signature-256": sign(b"k", body)}
        return function.post(
            "/", data=body, headers={"x-github-event": "ping", "x-github-delivery": "d"} | signature
        )
    if name == "gateway":
        token = gateway_token(b"k", "a1", datetime.now(UTC) + timedelta(hours=1))
        shown = {"authorization": f"Bearer {token}", "turnout-session": "s" * 32}
        return function.get("/attempts/a1/task", headers=shown)
    data = {"run": "r1", "version": 1, "fact": "started", "project": "p"}
    if name == "orchestrator":
        kind, data = "turnout.run.cancel", {"run": "r1", "by": "ada"}
    elif name == "launcher":
        kind = "turnout.task.cancel"
        data = {"run": "r1", "task": "t", "agent": "lint", "attempt": "a1", "reason": "x"}
    else:
        kind = "turnout.report.requested"
    return function.post("/", json=data, headers=CE | {"ce-type": kind})


FOR_OTHERS = ("webhook", "gateway")
"""Functions that are there for others, each with a lock of its own."""
KEYS = {"TURNOUT_WEBHOOK_SECRET": "k", "TURNOUT_SERVER_KEY": "k"}
WITH_A_STORE = [name for name in FUNCTIONS if name != "launcher"]


@pytest.mark.parametrize("name", WITH_A_STORE)
def test_with_an_unknown_kind_of_database_everything_waits_until_it_is_mended(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Other settings that are wrong end the start: tests/functions/test_settings_at_start.py."""
    answer = called(client(name, monkeypatch, **KEYS, TURNOUT_DATABASE_URL="cobol://u:hunter2@db"), name)
    assert answer.status_code == 503
    assert "hunter2" not in answer.text
    assert ("TURNOUT_DATABASE_URL" in answer.text) == (name not in FOR_OTHERS), (
        "the world need not know our settings"
    )


@pytest.mark.parametrize("name", WITH_A_STORE)
def test_before_the_store_has_its_tables_everything_waits(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    answer = called(client(name, monkeypatch, **KEYS), name)
    assert answer.status_code == 503
    wiring.wiring().store.close()


@pytest.mark.parametrize("name", ["orchestrator", "launcher", "reporter", "sweeper"])
def test_where_a_token_is_set_only_who_shows_it_gets_in(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    function = client(name, monkeypatch, TURNOUT_FUNCTION_TOKEN_FILE=str(tmp_path / "token"))
    for wrong in ({}, {"authorization": "Bearer open"}, {"authorization": "open sesame"}):
        answer = function.post("/", headers={**CE, **wrong}, json={})
        assert (answer.status_code, answer.text) == (403, "only Turnout itself is served here\n")
    assert (
        function.post("/", headers=CE | {"authorization": "Bearer open sesame"}, json={}).status_code != 403
    )
