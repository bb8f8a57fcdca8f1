"""A launched job that lies, floods or says things again, and whoever stands in the gateway's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from agents.sdk.remote import Grants
from agents.sdk.remote_client import MOST_SAID, GatewayClient
from agents.sdk.remote_pass import Pass
from tests.gateway.house import JOB, SECOND, House, announced
from turnout import gateway as g
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import PermanentError, TransientError
from turnout.core.model import Outcome
from turnout.core.result import Artifact, Result

PASS = Pass("http://door", "attempt", "v1.99999999999.secret")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_job_speaks_for_its_own_attempt_at_the_gateways_time_whatever_it_says(house: House) -> None:
    visit = house.start()
    before = visit.attempt.worker
    house.gateway.started(house.visit(), g.Start(worker="somebody-else"))
    house.gateway.heartbeat(house.visit(), g.Beat(number=2**53))
    house.settle()
    assert house.visit().attempt.worker == before, "the start that counted is the start"
    for each in house.world.producer.messages(m.TaskHeartbeat):
        assert (each.attempt, each.worker, each.at) == (house.attempt, before, house.world.clock.at)


def test_what_a_job_has_said_is_worth_nothing_when_it_is_said_again_after_the_end(house: House) -> None:
    house.start()
    attempt, token = house.attempt, house.token()
    house.finish(Outcome.FAILURE)
    said = len(house.world.producer.records)
    assert house.attempt != attempt
    with pytest.raises(g.NotWanted):
        house.gateway.enter(attempt, token, JOB)
    with pytest.raises(g.WrongPass):
        house.gateway.enter(house.attempt, token, JOB)
    assert len(house.world.producer.records) == said


def test_a_job_writes_no_artifact_of_another_attempt_and_claims_none(house: House) -> None:
    visit = house.start()
    others = attempt_key(visit.run.id, "ship", 1, "report.xml")
    for name in (f"../../ship/1/{'report.xml'}", "../2/report.xml", others.replace("runs/", "/runs/")):
        with pytest.raises(PermanentError):
            house.gateway.upload(visit, announced(b"x", name), [b"x"])
    claimed = Artifact(name="report.xml", key=others, size=1, sha256="0" * 64)
    with pytest.raises(PermanentError, match="not of this attempt"):
        house.gateway.finished(visit, g.Answer(result=Result(outcome=Outcome.SUCCESS, artifacts=(claimed,))))
    assert list(house.artifacts.list("")) == []


def test_the_credential_for_a_checkout_is_for_the_job_whose_start_is_recorded(house: House) -> None:
    with pytest.raises(g.NotNow):
        house.gateway.grants(house.visit())
    house.start()
    assert house.gateway.grants(house.visit())["credential"]["password"] == "for acme/shop"
    with pytest.raises(g.NotWanted):
        house.gateway.grants(house.visit(SECOND))


# --- in the gateway's place ---------------------------------------------------------------------------


def job_before(
    answer: Callable[[httpx.Request], httpx.Response],
) -> tuple[GatewayClient, list[httpx.Request]]:
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer(request)

    return GatewayClient(PASS, httpx.MockTransport(handle)), asked


def test_a_job_follows_nobody_elsewhere_with_its_pass() -> None:
    client, asked = job_before(lambda _: httpx.Response(307, headers={"location": "http://evil/attempts"}))
    with pytest.raises(TransientError):
        client.get("task")
    assert [each.url.host for each in asked] == ["door"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "http://[::1", "javascript:x", ""])
def test_a_job_uploads_to_no_address_that_is_none(url: str) -> None:
    client, asked = job_before(lambda _: httpx.Response(200, json={}))
    with pytest.raises(PermanentError, match="nothing can be put to"):
        client.put_elsewhere(url, b"x", {})
    assert asked == []


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1 << 20
            yield b" " * (1 << 20)

    client, _ = job_before(lambda _: httpx.Response(200, content=endless()))
    with pytest.raises(TransientError, match="is not the gateway's"):
        client.get("task")
    assert sent <= MOST_SAID + (2 << 20)


@pytest.mark.parametrize("said", [{}, {"secrets": ["x"]}, {"secrets": {"TOKEN": 7}}, {"secrets": None}])
def test_what_is_not_understood_is_no_secret_and_is_not_told(said: dict[str, object]) -> None:
    client, _ = job_before(lambda _: httpx.Response(200, json=said))
    client.patiently = lambda ask, _patience: ask()  # type: ignore[method-assign,assignment]
    with pytest.raises(TransientError, match="not understood"):
        Grants(client).resolve("acme/shop", "", ["TOKEN"])
