"""The dispatcher as a process of its own: what it needs to be told, its health, and that it ends with its work done."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from tests.listening import Function, Request, Say
from tests.metadata_server import MetadataServer
from tests.waiting import wait_until
from turnout import wiring
from turnout.adapters.identity_token import HEADER
from turnout.adapters.settings import InvalidSettings, read_settings
from turnout.cli.stack import serve_dispatcher
from turnout.core.envelope import Envelope
from turnout.core.errors import PermanentError
from turnout.core.topics import AGENT_REPORT
from turnout.stack import parts
from turnout.stack.health import judged, told_at

URLS = {"orchestrator": "http://127.0.0.1:1/o", "reporter": "http://127.0.0.1:1/r"}


@pytest.mark.parametrize(
    ("silent", "status", "said"),
    [(0.0, 200, "ok"), (59.0, 200, "ok"), (61.0, 503, "for 61 s"), (None, 503, "waiting for the bus")],
)
def test_it_is_well_while_it_asks_the_bus_for_records(silent: float | None, status: int, said: str) -> None:
    told = judged(silent)
    assert told[0] == status
    assert said in told[1]


@pytest.mark.parametrize(
    ("silent", "healthz", "livez"), [(0.0, 200, 200), (None, 503, 200), (61.0, 503, 503)]
)
def test_only_a_dispatcher_that_hangs_is_to_be_started_again(
    silent: float | None, healthz: int, livez: int
) -> None:
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    with told_at(port, lambda: silent):
        assert [_health(port), _health(port, "livez"), _health(port, "")] == [healthz, livez, 404]


def test_a_port_that_is_taken_is_told_with_what_to_change() -> None:
    with (
        socket.create_server(("", 0)) as taken,
        pytest.raises(PermanentError, match="PORT"),
        told_at(taken.getsockname()[1], lambda: 0.0),
    ):
        pass


@pytest.fixture
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "_made", None)


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "orchestrator, reporter, sweeper"),
        ({"TURNOUT_DISPATCHER_SWEEPS": "false"}, "orchestrator, reporter"),
        ({"TURNOUT_FUNCTION_URLS": json.dumps(URLS)}, "sweeper"),
        (
            {"TURNOUT_FUNCTION_URLS": json.dumps(URLS), "TURNOUT_LAUNCHER_RUNTIMES": "docker"},
            "launcher, sweeper",
        ),
    ],
)
def test_it_does_not_start_before_it_knows_where_all_functions_are(
    given: dict[str, str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=f"no address of {missing} "):
        serve_dispatcher(0)


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(("node", "member"), [("", ""), ("east", "dispatcher.east")])
def test_instances_that_are_told_the_same_are_members_of_their_own(
    node: str, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[tuple[object, ...]] = []

    def run(_urls: object, topics: dict[str, object], _ready: object, *, member: str, port: int) -> None:
        began.append((sorted(topics), member, port))

    monkeypatch.setattr(parts, "run_dispatcher", run)
    monkeypatch.setenv(
        "TURNOUT_FUNCTION_URLS", json.dumps(URLS | {"launcher": "http://l", "sweeper": "http://s"})
    )
    monkeypatch.setenv("TURNOUT_NODE", node)
    serve_dispatcher(8080)
    assert began == [(["launcher", "orchestrator", "reporter"], member, 8080)]


def test_records_are_posted_with_an_identity_and_what_is_under_way_ends_before_it_does(
    turnout_home: Path,
) -> None:
    settings = read_settings(os.environ)
    wiring.prepare(settings)
    made = wiring.Wiring(settings)
    asked, answer = threading.Event(), threading.Event()

    def slowly(_: Request) -> Say:
        asked.set()
        answer.wait(20)
        return Say()

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Function(slowly) as reporter, MetadataServer() as server:
        environ = {
            "TURNOUT_FUNCTION_URLS": json.dumps({**URLS, "reporter": reporter.url}),
            "TURNOUT_DISPATCHER_SWEEPS": "false",
            "TURNOUT_FUNCTION_IDENTITY": "google",
            "GCE_METADATA_HOST": server.host,
            "PORT": str(port),
        }
        process = subprocess.Popen([sys.executable, "-m", "turnout", "dispatcher"], env=os.environ | environ)
        try:
            wait_until(lambda: _health(port) == 200, 20, "a dispatcher that is well")
            producer = made.bus.producer()
            message = Envelope(id="e1", type="t", source="s", data={}).to_record(AGENT_REPORT, "run-1")
            producer.publish([message])
            producer.close()
            assert asked.wait(20)
            process.send_signal(signal.SIGTERM)
            answer.set()
            assert process.wait(20) == 0
        finally:
            answer.set()
            process.kill()
            process.wait()
        assert [each.headers["ce-id"] for each in reporter.requests] == ["e1"]
        assert reporter.requests[0].headers[HEADER].startswith("Bearer ey")
    assert sum(made.bus.lag("functions", [AGENT_REPORT]).values()) == 0, "it was committed"
    made.store.close()


def _health(port: int, path: str = "healthz") -> int:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/{path}", timeout=1, trust_env=False).status_code
    except httpx.HTTPError:
        return 0
