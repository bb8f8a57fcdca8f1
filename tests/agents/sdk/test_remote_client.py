from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from agents.sdk.remote import Grants, RemoteArtifacts, fetch_task
from agents.sdk.remote_client import Gap, GatewayClient, NotWanted
from agents.sdk.remote_log import RemoteLog
from agents.sdk.remote_pass import Pass
from tests.agents.sdk.doors import Door
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import NotFound, PermanentError, TransientError
from turnout.gateway import Limits


def answering(*answers: httpx.Response) -> tuple[GatewayClient, list[httpx.Request]]:
    """A client whose gateway gives these answers, the last one again and again."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answers[min(len(asked), len(answers)) - 1]

    return GatewayClient(Pass("http://door", "a1", "t0ken"), httpx.MockTransport(answer)), asked


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (410, "not_wanted", NotWanted),
        (409, "gap", Gap),
        (409, "not_now", PermanentError),
        (401, "no_pass", PermanentError),
        (403, "wrong_pass", PermanentError),
        (413, "too_large", PermanentError),
        (422, "refused", PermanentError),
        (404, "unknown", TransientError),
        (429, "too_much", TransientError),
        (503, "again", TransientError),
    ],
)
def test_what_the_gateway_says_is_told_apart_by_whether_trying_again_can_help(
    status: int, kind: str, error: type[Exception]
) -> None:
    client, _ = answering(
        httpx.Response(status, json={"error": "said so", "hint": "do", "kind": kind, "have": 7})
    )
    with pytest.raises(error) as raised:
        client.get("task")
    assert type(raised.value) is error
    if isinstance(raised.value, Gap):
        assert raised.value.have == 7


@pytest.mark.parametrize("status", [403, 404, 410, 413, 502, 302])
def test_a_page_that_is_not_the_gateways_is_a_reason_to_come_again(status: int) -> None:
    client, _ = answering(httpx.Response(status, text="<html>proxy</html>"))
    with pytest.raises(TransientError):
        client.get("task")
    with pytest.raises(TransientError):
        answering(httpx.Response(200, text="<html>log in</html>"))[0].get("task")


def test_it_comes_again_when_it_is_told_to_and_shows_the_same_session() -> None:
    busy = httpx.Response(503, json={"error": "busy", "kind": "again"}, headers={"Retry-After": "0"})
    client, asked = answering(busy, busy, httpx.Response(200, json={"ok": 1}))
    assert client.patiently(lambda: client.get("task"), 20) == {"ok": 1}
    assert len({each.headers["turnout-session"] for each in asked}) == 1
    assert {each.headers["authorization"] for each in asked} == {"Bearer t0ken"}
    assert len(asked[0].headers["turnout-session"]) >= 32
    with pytest.raises(TransientError) as raised:
        answering(httpx.Response(429, json={"kind": "too_much"}, headers={"Retry-After": "7"}))[0].get()
    assert raised.value.retry_after == 7


def test_its_patience_ends() -> None:
    client, asked = answering(httpx.Response(503, json={}))
    with pytest.raises(TransientError):
        client.patiently(lambda: client.get("task"), 0.3)
    assert len(asked) == 2


def test_an_artifact_goes_to_the_address_that_was_signed_without_the_pass(
    tmp_path: Path, origin: tuple[Path, str]
) -> None:
    client, asked = answering(
        httpx.Response(
            200,
            json={
                "key": "k",
                "url": "http://bucket/put?signature=1",
                "headers": {"x-goog-hash": "signed, too"},
            },
        ),
        httpx.Response(200),
    )
    task = m.TaskRequested.model_validate(
        {
            "run": "r1",
            "project": "p",
            "stage": "s",
            "task": "t",
            "agent": "lint",
            "attempt": "a1",
            "number": 1,
            "token": "",
            "timeout": 1,
            "heartbeat": 1,
            "checkout": {"repository": "o/n", "clone_url": str(origin[0]), "sha": origin[1], "ref": "r"},
        }
    )
    log = RemoteLog(client, tmp_path / "log")
    kept = RemoteArtifacts(client, log, task).put(
        attempt_key("r1", "t", 1, "a.txt"), b"content", "text/plain"
    )
    log.close()
    assert kept.size == 7
    assert (asked[1].method, str(asked[1].url), asked[1].content) == (
        "PUT",
        "http://bucket/put?signature=1",
        b"content",
    )
    assert "authorization" not in asked[1].headers
    assert (asked[1].headers["content-type"], asked[1].headers["x-goog-hash"]) == (
        "text/plain",
        "signed, too",
    )


# --- the log -----------------------------------------------------------------------------------------


@pytest.fixture
def door(tmp_path: Path, origin: tuple[Path, str]) -> Door:
    return Door(tmp_path, *origin)


def started(door: Door, client: GatewayClient) -> None:
    client.post("started", {"worker": "w", "sandbox": ""})


def test_the_log_arrives_once_and_in_order_whatever_is_lost_on_the_way(door: Door, tmp_path: Path) -> None:
    with door.client() as client:
        started(door, client)
        log = RemoteLog(client, tmp_path / "log")
        text = "".join(f"line {number}: größer 🚂\n" for number in range(6000))
        content = text.encode()
        door.way.deaf = 2
        for at in range(0, len(content), 7001):
            log.append(content[at : at + 7001])
        assert log.flush(30)
        log.close()
    assert door.log() == text
    assert "".join(each.text for each in _once(door.said(m.LogChunk))) == text


def _once(chunks: list[m.LogChunk]) -> list[m.LogChunk]:
    return list({each.sequence: each for each in chunks}.values())


def test_a_log_that_is_too_long_ends_and_says_so(tmp_path: Path, origin: tuple[Path, str]) -> None:
    door = Door(tmp_path, *origin, limits=Limits(log=100_000))
    with door.client() as client:
        started(door, client)
        log = RemoteLog(client, tmp_path / "log")
        log.append(b"x" * 200_000)
        assert log.flush(30)
        with pytest.raises(PermanentError, match="takes no more of the log"):
            log.append(b"y")
        log.close()
    assert 0 < len(door.log()) <= 100_000


def test_a_hurried_log_waits_as_long_as_it_is_told(tmp_path: Path, origin: tuple[Path, str]) -> None:
    door = Door(tmp_path, *origin, limits=Limits(log_rate=20_000))
    with door.client() as client:
        started(door, client)
        log = RemoteLog(client, tmp_path / "log")
        log.append(b"x" * 100_000)
        assert log.flush(30)
        log.close()
    assert len(door.log()) == 100_000


# --- what findings are compared with ---------------------------------------------------------------


@pytest.mark.parametrize("fork", [False, True])
def test_the_report_to_compare_with_is_read_and_replaced_at_its_own_place_alone(
    tmp_path: Path, origin: tuple[Path, str], fork: bool
) -> None:
    door = Door(tmp_path, *origin, agent="security", fork=fork)
    with door.client() as client:
        started(door, client)
        task = fetch_task(client, 5)
        assert task.baseline is not None
        key = task.baseline.key
        log = RemoteLog(client, tmp_path / "log")
        remote = RemoteArtifacts(client, log, task)
        with pytest.raises(NotFound):
            remote.get(key)
        with pytest.raises(PermanentError):
            remote.get("runs/another/unit/1/log.txt")
        if fork:
            with pytest.raises(PermanentError, match="not compared"):
                remote.put(key, b"{}")
        else:
            remote.put(key, b'{"version": "2.1.0"}')
            assert remote.get(key) == door.artifacts.get(key) == b'{"version": "2.1.0"}'
        log.close()


# --- secrets -----------------------------------------------------------------------------------------


def test_secrets_and_credential_are_asked_for_once(tmp_path: Path, origin: tuple[Path, str]) -> None:
    door = Door(tmp_path, *origin, secrets=("TOKEN",))
    with door.client() as client:
        grants = Grants(client)
        with pytest.raises(PermanentError, match="not recorded"):
            grants.resolve("p", "", ["TOKEN"])
        started(door, client)
        assert grants.resolve("p", "", ["TOKEN", "OTHER"]) == {"TOKEN": "hunter2hunter2"}
        checkout = m.Checkout(repository="o/n", clone_url=str(origin[0]), sha=origin[1], ref="r")
        found = grants.credential(checkout)
        assert found is not None
        assert (found.username, found.password) == ("u", "short-lived")
    assert door.way.asked.count("POST grants") == 2
