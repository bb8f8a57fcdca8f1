"""A gateway for tests of launched jobs: the real one over HTTP without a socket, and what can go wrong on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from flask import Flask, Response, request

from agents.sdk.remote_client import GatewayClient
from agents.sdk.remote_pass import Pass
from functions.gateway.door import answered
from tests.core.building import CHANGE, a_plan, stage
from turnout.adapters.artifacts import FileArtifacts
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.system_clock import SystemClock
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key
from turnout.core.envelope import Record, open_record
from turnout.core.events import Timing
from turnout.core.ids import run_id
from turnout.core.policy import gateway_token
from turnout.core.run import Attempt, Run
from turnout.core.topics import AGENT_RESULTS
from turnout.gateway import CheckoutCredential, Gateway, Limits
from turnout.orchestration import Orchestrator, Planned

KEY = b"server key"


class Bound:
    def resolve(self, project: str, environment: str, names: Any) -> dict[str, str]:
        return dict.fromkeys(names, "hunter2hunter2")


class Way(httpx.BaseTransport):
    """``away``: nobody answers. ``deaf``: so many answers get lost after the gateway has done what was asked."""

    def __init__(self, app: Flask) -> None:
        self._app = httpx.WSGITransport(app=app)
        self.away = False
        self.deaf = 0
        self.asked: list[str] = []

    def handle_request(self, asked: httpx.Request) -> httpx.Response:
        self.asked.append(f"{asked.method} {asked.url.path.rpartition('/')[2]}")
        if self.away:
            raise httpx.ConnectError("nobody is there")
        answer = self._app.handle_request(asked)
        if self.deaf > 0:
            self.deaf -= 1
            raise httpx.ReadError("cut off")
        return answer


@dataclass
class Door:
    """A run with one task, its gateway, and an orchestrator that hears what is said at once."""

    folder: Path
    origin: Path
    sha: str
    options: dict[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    secrets: tuple[str, ...] = ()
    agent: str = "shell"
    fork: bool = False

    def __post_init__(self) -> None:
        self.store, self.clock = MemoryStore(), SystemClock()
        plan = a_plan(
            stage("unit", agent=self.agent, options=self.options, secrets=self.secrets, timeout=60.0)
        )
        change = CHANGE.with_(clone_url=str(self.origin), sha=self.sha, fork=self.fork)
        timing = Timing(heartbeat=0.1, lease=30.0)
        self.orchestrator = Orchestrator(
            self.store, None, lambda _: Planned("acme/shop", plan, change), self.clock, KEY, timing
        )
        self.artifacts = FileArtifacts(self.folder / "artifacts")
        self.records: list[Record] = []
        self._lock = threading.Lock()
        self.gateway = Gateway(
            self.store,
            self,
            self.artifacts,
            Bound(),
            self.clock,
            KEY,
            self.limits,
            lambda _: CheckoutCredential(username="u", password="short-lived"),
        )
        app = Flask("door")

        @app.route("/<path:_path>", methods=["GET", "POST", "PUT"])
        def served(_path: str) -> Response:
            return answered(request._get_current_object(), lambda: self.gateway)  # type: ignore[attr-defined]

        self.way = Way(app)
        asked = m.RunRequested(trigger="t1", change=change)
        self.orchestrator.handle(m.wrap(asked, id="t1", source="/test", at=self.clock.now()))

    def publish(self, records: Any, timeout: float = 30.0) -> None:
        with self._lock:
            self.records.extend(records)
            for each in records:
                if each.topic == AGENT_RESULTS:
                    self.orchestrator.handle(open_record(each))

    def close(self) -> None: ...

    @property
    def run(self) -> Run:
        found = self.store.load(run_id("t1"))
        assert found is not None
        return found

    @property
    def attempt(self) -> Attempt:
        return self.run.stages["unit"].tasks["unit"].attempts[0]

    def said(self, kind: type[m.Message]) -> list[Any]:
        found = [m.parse(open_record(each)) for each in list(self.records)]
        return [each for each in found if isinstance(each, kind)]

    def log(self) -> str:
        return self.artifacts.get(attempt_key(self.run.id, "unit", 1)).decode()

    def cancel(self) -> None:
        order = m.CancelRun(run=self.run.id, by="ada", reason="not needed")
        with self._lock:
            self.orchestrator.handle(m.wrap(order, id="c1", source="/test", at=self.clock.now()))

    def a_pass(self) -> Pass:
        expires = self.clock.now() + timedelta(hours=1)
        return Pass("http://door", self.attempt.id, gateway_token(KEY, self.attempt.id, expires))

    @contextmanager
    def client(self) -> Iterator[GatewayClient]:
        made = GatewayClient(self.a_pass(), self.way)
        try:
            yield made
        finally:
            made.close()
