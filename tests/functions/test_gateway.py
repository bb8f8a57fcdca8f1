"""The gateway as it is deployed: in a process of its own, spoken to over HTTP."""

from __future__ import annotations

import hashlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tests.core.building import CHANGE, a_plan, stage
from tests.functions.serving import Answer, Served, Site
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key
from turnout.core.ids import run_id
from turnout.core.model import Outcome
from turnout.core.policy import attempt_token, gateway_token
from turnout.core.run import Run
from turnout.gateway import MAX_CHUNK, MAX_RESULT
from turnout.orchestration import Orchestrator, Planned

SESSION = "one job's own session"
PLAN = a_plan(stage("test", retries=1))
SUCCESS = {"result": {"outcome": "success", "summary": "all is well"}}


@dataclass
class Job:
    """An attempt of a run of its own, at the gateway's door."""

    site: Site
    served: Served
    name: str

    def __post_init__(self) -> None:
        wiring = self.site.wiring
        self.orchestrator = Orchestrator(
            wiring.store,
            None,
            lambda _request: Planned("acme/shop", PLAN, CHANGE),
            wiring.clock,
            wiring.settings.key(),
        )
        asked = m.RunRequested(trigger=self.name, change=CHANGE)
        self.orchestrator.handle(m.wrap(asked, id=self.name, source="/test", at=wiring.clock.now()))
        self.attempt = self.run.stages["test"].tasks["test"].attempts[0].id
        self.token = self.a_token(3600)

    def a_token(self, lifetime: float, attempt: str = "") -> str:
        wiring = self.site.wiring
        expires = wiring.clock.now() + timedelta(seconds=lifetime)
        return gateway_token(wiring.settings.key(), attempt or self.attempt, expires)

    @property
    def run(self) -> Run:
        found = self.site.wiring.store.load(run_id(self.name))
        assert found is not None
        return found

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> Answer:
        """``body``: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
        named = {
            "Authorization": f"Bearer {self.token if token is None else token}",
            "Turnout-Session": SESSION,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        where = f"/attempts/{self.attempt}/{path}".rstrip("/")
        return self.served.send(method, content if method != "GET" else None, named, where)

    def settle(self) -> None:
        """The orchestrator takes what has been said of this run."""
        for each in self.site.published("agent.results"):
            if each.data["run"] == self.run.id:
                self.orchestrator.handle(each)

    def start(self) -> None:
        assert self.ask("POST", "started", {"worker": "job-1"}).json["state"] == "waiting"
        self.settle()
        assert self.ask("GET", "").json == {"state": "yours", "stop": ""}

    def put(self, name: str, content: bytes, sha256: str = "") -> Answer:
        digest = sha256 or hashlib.sha256(content).hexdigest()
        return self.ask("PUT", f"artifacts/{name}", content, Turnout_Sha256=digest, Content_Type="text/plain")

    def said(self, kind: type[m.Message], topic: str = "agent.results") -> list[m.Message]:
        found = [m.parse(each) for each in self.site.published(topic) if each.data["run"] == self.run.id]
        return [each for each in found if isinstance(each, kind)]


@pytest.fixture
def job(site: Site, request: pytest.FixtureRequest) -> Job:
    return Job(site, site["gateway"], request.node.name)


def test_a_job_fetches_its_task_starts_logs_uploads_and_answers(job: Job) -> None:
    task = job.ask("GET", "task")
    assert (task.status, task.headers["content-type"]) == (200, "application/json")
    assert (task.json["attempt"], task.json["agent"]) == (job.attempt, "script")
    assert "token" not in task.json
    job.start()
    assert job.ask("POST", "grants").json == {"secrets": {}, "credential": None}
    assert job.ask("POST", "heartbeat", {"number": 0}).json == {"state": "yours", "stop": ""}
    text = "grüße\n"
    assert job.ask("POST", "logs", {"sequence": 0, "offset": 0, "text": text}).json == {"have": 8}
    content = b"<xml/>" * 2_000_000
    announced = {"name": "a/b.xml", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    key = attempt_key(job.run.id, "test", 1, "a/b.xml")
    assert job.ask("POST", "artifacts", announced).json == {"key": key, "url": None}
    assert job.put("a/b.xml", content).status == 200
    assert job.ask("POST", "finished", SUCCESS).status == 200
    job.settle()
    assert job.run.outcome is Outcome.SUCCESS
    artifacts = job.site.wiring.artifacts
    assert artifacts.get(key) == content
    assert artifacts.get(attempt_key(job.run.id, "test", 1)).decode() == text
    (chunk,) = job.said(m.LogChunk, "agent.logs")
    assert isinstance(chunk, m.LogChunk)
    assert chunk.text == text
    assert job.said(m.TaskHeartbeat)


def test_everything_may_come_twice_also_at_once(job: Job) -> None:
    def four_times(path: str, body: Any) -> list[int]:
        with ThreadPoolExecutor(4) as pool:
            return [each.status for each in pool.map(lambda _: job.ask("POST", path, body), range(4))]

    assert four_times("started", {"worker": "w"}) == [200] * 4
    job.settle()
    assert four_times("logs", {"sequence": 0, "offset": 0, "text": "once\n"}) == [200] * 4
    assert four_times("finished", SUCCESS) == [200] * 4
    job.settle()
    assert job.run.outcome is Outcome.SUCCESS
    assert job.site.wiring.artifacts.get(attempt_key(job.run.id, "test", 1)) == b"once\n"
    kinds = [each.event.kind for each in job.site.wiring.store.events(job.run.id)]
    assert "message_ignored" not in kinds


def test_expired_forged_and_foreign_tokens_are_refused(job: Job) -> None:
    key = job.site.wiring.settings.key()
    refused = {
        "": 401,
        "rubbish": 403,
        job.a_token(-1): 401,
        job.a_token(60, "another-attempt"): 403,
        attempt_token(key, job.attempt): 403,
        job.token[:-1] + ("0" if job.token[-1] != "0" else "1"): 403,
        gateway_token(b"a guess", job.attempt, job.site.wiring.clock.now() + timedelta(hours=1)): 403,
    }
    for path, method in (("task", "GET"), ("finished", "POST"), ("grants", "POST")):
        for token, status in refused.items():
            assert job.ask(method, path, SUCCESS, token=token).status == status, (path, token)
    assert job.run.stages["test"].tasks["test"].attempts[0].started_at is None
    assert not job.said(m.TaskFinished)


def test_the_token_of_an_attempt_that_has_ended_opens_nothing(job: Job) -> None:
    job.start()
    job.ask("POST", "finished", {"result": {"outcome": "failure"}})
    job.settle()
    before = job.run
    for method, path in (("GET", "task"), ("POST", "grants"), ("POST", "finished"), ("POST", "logs")):
        answer = job.ask(method, path, SUCCESS)
        assert (answer.status, answer.json["kind"]) == (410, "not_wanted")
    assert job.put("late", b"x").status == 410
    job.settle()
    assert job.run == before


def test_a_second_job_of_the_attempt_is_told_that_it_is_not_wanted(job: Job) -> None:
    job.start()
    other = {"Turnout_Session": "the session of another"}
    assert job.ask("GET", "", **other).json["state"] == "others"
    for method, path, body in (
        ("GET", "task", None),
        ("POST", "grants", None),
        ("POST", "finished", SUCCESS),
    ):
        assert job.ask(method, path, body, **other).status == 410
    assert job.ask("GET", "", Turnout_Session="short").status == 422


def test_what_is_too_large_is_refused_and_changes_nothing(job: Job) -> None:
    job.start()
    big = "x" * (MAX_CHUNK + 1)
    assert job.ask("POST", "logs", {"sequence": 0, "offset": 0, "text": big}).status == 413
    assert job.ask("POST", "logs", b"x" * (10 * MAX_CHUNK)).status == 413
    huge = {"result": {"outcome": "success", "summary": "x" * MAX_RESULT}}
    assert job.ask("POST", "finished", huge).status == 413
    announced = {"name": "a", "size": 10**12, "sha256": "0" * 64}
    assert job.ask("POST", "artifacts", announced).status == 413
    assert (
        job.ask("PUT", "artifacts/a", b"", Content_Length=str(10**12), Turnout_Sha256="0" * 64).status == 413
    )
    assert list(job.site.wiring.artifacts.list(attempt_key(job.run.id, "test", 1, ""))) == []
    assert job.ask("GET", "").json["state"] == "yours"


def test_a_job_that_asks_without_end_is_told_how_long_to_wait(job: Job) -> None:
    def until_refused() -> Answer:
        for _ in range(2000):
            answer = job.ask("GET", "")
            if answer.status != 200:
                return answer
        raise AssertionError("nobody stops it")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: until_refused(), range(4)))
    assert {(each.status, each.json["kind"]) for each in answers} == {(429, "too_much")}
    assert int(answers[0].headers["retry-after"]) >= 1


def test_an_upload_that_is_cut_off_or_is_something_else_is_not_kept(job: Job) -> None:
    job.start()
    assert job.put("a", b"content", "0" * 64).status == 422
    assert job.put("a", b"content", "rubbish").status == 422
    head = (
        f"PUT /attempts/{job.attempt}/artifacts/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {job.token}\r\n"
        f"Turnout-Session: {SESSION}\r\nTurnout-Sha256: {'0' * 64}\r\nContent-Length: 1000\r\n\r\n0123456789"
    )
    with socket.create_connection(("127.0.0.1", job.served.port), timeout=10) as connection:
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        connection.recv(4096)
    assert list(job.site.wiring.artifacts.list(attempt_key(job.run.id, "test", 1, ""))) == []


@pytest.mark.parametrize(
    "name", ["..%2f..%2fserver.key", "a%2F..%2Fb", "log.txt", "%2e%2e", "a%0Ab", "a%00b"]
)
def test_no_name_leads_out_of_the_attempts_own_folder(job: Job, name: str) -> None:
    job.start()
    assert job.put(name, b"x").status in (404, 422)
    assert list(job.site.wiring.artifacts.list(attempt_key(job.run.id, "test", 1, ""))) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("started", b""),
        ("started", b"{"),
        ("started", b"[]"),
        ("started", b'{"worker": "a b"}'),
        ("started", b"[" * 5000),
        ("heartbeat", b'{"number": 1e400}'),
        ("heartbeat", b'{"number": -1}'),
        ("logs", b'{"sequence": 0, "offset": 0, "text": "\\ud800"}'),
        ("logs", b"\xff"),
        ("finished", b'{"result": {"outcome": "splendid"}}'),
        ("finished", b'{"result": {"outcome": "success", "summary": 7, "secret": "hunter2"}}'),
        ("artifacts", b'{"name": "", "size": 1, "sha256": "0"}'),
    ],
)
def test_a_body_that_is_none_of_ours_is_refused_with_what_is_wrong(job: Job, path: str, body: bytes) -> None:
    answer = job.ask("POST", path, body)
    assert (answer.status, answer.json["kind"]) == (422, "refused")
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/attempts"), ("GET", "/attempts/../x"), ("POST", "/attempts/%2e%2e/task")],
)
def test_nothing_else_is_served(job: Job, method: str, path: str) -> None:
    assert job.served.send(method, None, {}, path).status in (404, 308)


def test_a_known_path_with_another_method_is_not_served(job: Job) -> None:
    assert job.ask("DELETE", "task").status == 404
    assert job.ask("POST", "task").status == 404
    assert job.ask("GET", "finished").status == 404
