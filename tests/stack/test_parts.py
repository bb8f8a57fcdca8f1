from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from werkzeug.test import Client, TestResponse

from tests.listening import Function, Say
from tests.stack.supervised import Supervised
from tests.waiting import wait_until
from turnout import wiring
from turnout.adapters.settings import read_settings
from turnout.core.errors import TransientError
from turnout.stack import parts
from turnout.stack.layout import FUNCTIONS
from turnout.stack.parts import wait_http, wsgi_app
from turnout.webhook import sign


@pytest.fixture(scope="module")
def app() -> Iterator[Client]:
    """All functions in one process, over a store of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNOUT_WEBHOOK_SECRET", "k")
        patch.setattr(wiring, "_made", None)
        wiring.prepare(read_settings(os.environ))
        made = Client(wsgi_app())
        wiring.wiring()
        yield made
        wiring.wiring().store.close()


def deliver(app: Client, path: str) -> TestResponse:
    body = json.dumps({"zen": "…"}).encode()
    headers = {"x-github-event": "ping", "x-github-delivery": path, "x-hub-signature-256": sign(b"k", body)}
    return app.post(path, data=body, headers=headers)


def event(kind: str) -> dict[str, str]:
    return {"ce-id": "m1", "ce-source": "/s", "ce-type": kind, "ce-specversion": "1.0"}


@pytest.mark.parametrize("path", ["/healthz", "/"])
def test_the_process_says_that_it_is_well(app: Client, path: str) -> None:
    answer = app.get(path)
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_another_path_is_told_those_there_are(app: Client) -> None:
    answer = app.get("/console")
    assert answer.status_code == 404
    assert all(f"/{name}" in answer.text for name in FUNCTIONS)


@pytest.mark.parametrize("path", ["/webhook", "/webhook/"])
def test_the_webhook_is_under_its_own_path(app: Client, path: str) -> None:
    assert deliver(app, path).json == {"delivery": path, "status": "ignored", "reason": "pong"}


def test_every_function_answers_for_itself(app: Client) -> None:
    said = {
        name: app.post(f"/{name}", json={"run": "r1", "by": "ada"}, headers=event("turnout.run.cancel")).text
        for name in ("orchestrator", "launcher", "reporter")
    }
    assert said["orchestrator"].startswith("no run r1")
    assert said["launcher"] == "type: turnout.run.cancel is no message for the launcher\n"
    assert said["reporter"] == "type: turnout.run.cancel is no message for the reporter\n"
    found = ["counted", "done", "pruned", "redelivered", "resent", "scheduled"]
    assert sorted(app.post("/sweeper").json or {}) == found


def test_functions_of_one_process_share_one_store(app: Client) -> None:
    deliver(app, "/webhook?shared")
    assert "/webhook?shared" in [each.id for each in wiring.wiring().store.deliveries()]


def test_functions_are_served_in_a_part_that_answers_what_it_was_asked_before_it_ends(tmp_path: Path) -> None:
    with Supervised(tmp_path, "serving") as running:
        assert running.notes("", "ready")[0]["late"] == []
        port = running.notes("serving", "listens")[0]["port"]
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(httpx.get, f"http://127.0.0.1:{port}/", timeout=20)
            running.noted("serving", "asked")
            running.signal(signal.SIGTERM)
            assert asked.result(20).text == "done\n"
        assert running.process.wait(30) == 0
        assert (tmp_path / "log").read_text() == "", "nothing to be told"


def test_the_sweeper_is_called_now_and_then_also_after_it_did_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "SWEEP_EVERY", 0.01)
    stopped, answers = threading.Event(), iter([503, 200])
    with Function(lambda _: Say(next(answers, 200))) as sweeper:
        shown = {"authorization": "Bearer t"}
        calling = threading.Thread(target=parts._sweep, args=(sweeper.url, stopped, lambda _: shown))
        calling.start()
        wait_until(lambda: len(sweeper.requests) >= 3, 10, "three calls")
        stopped.set()
        calling.join(10)
    assert not calling.is_alive()


def test_a_part_waits_for_a_bus_that_is_away_and_goes_on_when_it_is_back() -> None:
    tries: list[int] = []

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return self.is_set()

    def run() -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise TransientError("no broker")

    parts._until_broker(run, Impatient())
    assert tries == [0, 1, 2]


def test_a_part_that_is_told_to_stop_waits_for_no_bus() -> None:
    stopped = threading.Event()

    def run() -> None:
        stopped.set()
        raise TransientError("no broker")

    parts._until_broker(run, stopped)


class Answering(BaseHTTPRequestHandler):
    status = 405

    def do_GET(self) -> None:
        self.send_error(self.status)

    def log_message(self, format: str, *args: object) -> None: ...


def test_what_answers_is_up_and_what_does_not_is_not() -> None:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        assert wait_http(url, 10)
        Answering.status = 500
        assert not wait_http(url, 0.05)
        server.shutdown()
        serving.join(10)
    assert not wait_http(url, 0.05)
