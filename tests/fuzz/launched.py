"""The gateway's door, and a job's reading of what is behind that door."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

import httpx

from agents.sdk.remote import Grants, Heard, RemoteArtifacts, RemoteClaims, fetch_task
from agents.sdk.remote_client import GatewayClient
from agents.sdk.remote_pass import Pass
from functions.gateway.door import answered
from tests.core.building import a_plan, stage
from tests.fuzz.doors import NOW, split
from tests.simulation.doorway import Asked, Bound, SimArtifacts, request_of
from tests.test_orchestration import KEY, World
from turnout.core import messages as m
from turnout.core.envelope import open_record
from turnout.core.errors import TurnoutError
from turnout.core.policy import gateway_token
from turnout.core.topics import AGENT_RESULTS
from turnout.gateway import Gateway, Limits, Start

JOB = "the session of the job"
ENDLESS = 1e12
MOST = 64 * 1024
"""Bytes of any answer here."""


class _House:
    """One attempt that has started; whatever is asked changes nothing but the artifacts, which are thrown away."""

    def __init__(self) -> None:
        self.world = World(a_plan(stage("test", secrets=("TOKEN",), environment="staging")))
        self.world.push()
        self.artifacts = SimArtifacts()
        self.gateway = Gateway(
            self.world.store,
            self.world.producer,
            self.artifacts,
            Bound(),
            self.world.clock,
            KEY,
            Limits(log=4096, artifact=4096, artifacts=8192, requests=ENDLESS, log_rate=ENDLESS),
        )
        current = self.world.run().stages["test"].tasks["test"].current
        assert current is not None
        self.attempt = current.id
        self.token = gateway_token(KEY, self.attempt, NOW.replace(year=2999))
        self.gateway.started(self.gateway.enter(self.attempt, self.token, JOB), Start(worker="job-1"))
        for record in list(self.world.producer.records):
            if record.topic == AGENT_RESULTS:
                self.world.orchestrator.handle(open_record(record))


@cache
def _house() -> _House:
    return _House()


def gateway(content: bytes) -> None:
    """``METHOD path`` (``@`` is the attempt), headers, an empty line, a body. Pass and session are added where the
    headers leave them out."""
    house = _house()
    line, _, rest = content.partition(b"\n")
    method, _, path = line.decode("latin-1").partition(" ")
    headers, body = split(rest)
    named = {name: value.decode("latin-1") for name, value in headers if name}
    usual = {"Authorization": f"Bearer {house.token}", "Turnout-Session": JOB}
    lower = {name.lower() for name in named}
    named |= {name: value for name, value in usual.items() if name.lower() not in lower}
    house.artifacts.kept.clear()
    house.world.producer.records.clear()
    place = path.replace("@", house.attempt).encode("latin-1", "replace").decode("latin-1")
    asked = Asked(method or "GET", place, named, body)
    response = answered(request_of(asked), lambda: house.gateway)
    said = response.get_data()
    assert response.status_code < 500, (response.status_code, said)
    assert len(said) < MOST, len(said)
    assert isinstance(json.loads(said), dict)
    own = f"runs/{house.world.run().id}/test/1/"
    for key in house.artifacts.kept:
        assert key.startswith(own), key
        assert not {"", ".", ".."} & set(key.split("/")), key
    assert sum(map(len, house.artifacts.kept.values())) <= 8192 + 4096
    for record in house.world.producer.records:
        assert m.parse(open_record(record)).type in WRITES


WRITES = {m.TaskStarted.type, m.TaskHeartbeat.type, m.TaskFinished.type, m.LogChunk.type}
TASK = m.TaskRequested(
    run="r", stage="t", task="t", attempt="a", agent="script", project="acme/shop", number=1, token="",
    checkout=m.Checkout(repository="acme/shop", clone_url="/x", sha="1" * 40, ref="refs/heads/main"),
    timeout=60.0, heartbeat=5.0, baseline=m.Baseline(key="baselines/x", branch="main", keeps=True),
)  # fmt: skip


def answer(content: bytes) -> None:
    """A status, headers, an empty line, a body: whatever a job asks, and from whomever it comes."""
    line, _, rest = content.partition(b"\n")
    headers, body = split(rest)
    status = int(line) if line.isdigit() and len(line) == 3 and 200 <= int(line) < 600 else 200

    def handle(_request: httpx.Request) -> httpx.Response:
        named = [(name.encode(), value) for name, value in headers if name.isascii() and name]
        return httpx.Response(status, headers=named, stream=httpx.ByteStream(body))

    client = GatewayClient(Pass("http://door", "a", "v1.1.0"), httpx.MockTransport(handle))
    client.close = lambda: None  # type: ignore[method-assign]
    client.patiently = lambda ask, patience: ask()  # type: ignore[method-assign]
    heard = Heard()
    grants = Grants(client)
    artifacts = RemoteArtifacts(client, None, TASK)  # type: ignore[arg-type]
    asks: tuple[Callable[[], object], ...] = (
        lambda: fetch_task(client, 0.0),
        lambda: RemoteClaims(client, heard).claim("a", "w"),
        lambda: client.post("logs", {"offset": 0}),
        lambda: grants.resolve("p", "", ["TOKEN"]),
        lambda: grants.credential(TASK.checkout),
        lambda: artifacts.put("runs/r/t/1/x.txt", b"x"),
        lambda: artifacts.get("baselines/x"),
    )
    for ask in asks:
        try:
            ask()
        except TurnoutError as error:
            _told(error)
    heard.stop.encode()


def _told(error: TurnoutError) -> None:
    after = getattr(error, "retry_after", None)
    assert after is None or after >= 0
    assert len(str(error).encode()) < MOST
