"""Where a job makes the tables, functions may be there before it has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug.test import Client

from functions.gateway.main import gateway
from functions.orchestrator.main import orchestrator
from functions.webhook.main import webhook
from tests.core.building import CHANGE
from turnout import wiring
from turnout.adapters.cloudevents import to_http
from turnout.adapters.store.schema import HEAD, migrate
from turnout.console.app import create_app
from turnout.core.envelope import Envelope, Received
from turnout.core.messages import RunRequested
from turnout.serving import served
from turnout.webhook import sign

SECRET = b"between us"


@pytest.fixture(autouse=True)
def made(turnout_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TURNOUT_MIGRATE", "job")
    monkeypatch.setenv("TURNOUT_WEBHOOK_SECRET", SECRET.decode())
    monkeypatch.setattr(wiring, "_made", None)
    yield
    if wiring._made is not None and "store" in vars(wiring._made[1]):
        wiring._made[1].store.close()


def asking(function: Any) -> Client:
    return Client(served(function))


def event() -> int:
    wanted = RunRequested(trigger="t", change=CHANGE)
    record = Envelope("t", wanted.type, "/test", wanted.to_json()).to_record("pipeline.events", "t")
    headers, body = to_http(Received(record, 0, 0, 0.0))
    answer = asking(orchestrator).post("/", headers=headers, data=body)
    return answer.status_code


def delivery() -> int:
    body = json.dumps({"ref": "refs/heads/main", "repository": {"full_name": "acme/shop"}}).encode()
    headers = {"X-GitHub-Event": "ping", "X-GitHub-Delivery": "d", "X-Hub-Signature-256": sign(SECRET, body)}
    return asking(webhook).post("/", headers=headers, data=body).status_code


def job() -> int:
    headers = {"Authorization": "Bearer none"}
    return asking(gateway).get("/attempts/a/task", headers=headers).status_code


async def looking() -> int:
    way = httpx.ASGITransport(create_app(wiring.wiring()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=way, base_url="http://127.0.0.1") as client:
        return (await client.get("/api/v1/runs", headers={"Authorization": "Bearer none"})).status_code


def look() -> int:
    return asyncio.run(looking())


@pytest.mark.parametrize("ask", [event, delivery, job, look], ids=lambda each: each.__name__)
def test_a_function_is_out_of_service_until_the_tables_are_there_and_then_serves(
    ask: Callable[[], int], turnout_home: Path
) -> None:
    assert ask() == 503
    assert not (turnout_home / "turnout.db").exists(), "it makes none"
    migrate(f"sqlite:///{turnout_home}/turnout.db")
    assert ask() < 500


def test_what_a_caller_is_told_names_the_job(turnout_home: Path) -> None:
    wanted = RunRequested(trigger="t", change=CHANGE)
    record = Envelope("t", wanted.type, "/test", wanted.to_json()).to_record("pipeline.events", "t")
    headers, body = to_http(Received(record, 0, 0, 0.0))
    answer = asking(orchestrator).post("/", headers=headers, data=body)
    assert f"there are no tables, this version asks for {HEAD} (run `turnout migrate`" in answer.text
