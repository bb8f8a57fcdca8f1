from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functions.serving import SECRET, Served, Site
from tests.test_webhook import push
from turnout.core.ids import delivery_message_id, run_id
from turnout.core.messages import RunRequested, parse
from turnout.webhook import MAX_BODY, sign

TOO_MUCH = MAX_BODY + 1


@pytest.fixture
def webhook(site: Site) -> Served:
    return site["webhook"]


def requests(site: Site, delivery: str) -> list[RunRequested]:
    found = [parse(each) for each in site.published("pipeline.events")]
    return [each for each in found if isinstance(each, RunRequested) and each.delivery == delivery]


def test_a_signed_push_is_accepted_with_the_id_of_its_run(site: Site, webhook: Served) -> None:
    answer = webhook.deliver(push(), delivery="accepted")
    assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
    assert answer.json["run"] == run_id(delivery_message_id("github", "accepted"))
    (request,) = requests(site, "accepted")
    assert request.change.sha == push()["after"]


def test_a_redelivery_is_known_and_asks_for_nothing_more(site: Site, webhook: Served) -> None:
    first = webhook.deliver(push(), delivery="again")
    again = webhook.deliver(push(), delivery="again")
    assert (again.status, again.json["run"]) == (200, first.json["run"])
    assert len(requests(site, "again")) == 1


def test_the_same_delivery_many_times_at_once_is_one_message_for_one_run(site: Site, webhook: Served) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: webhook.deliver(push(), delivery="crowd"), range(16)))
    assert {answer.json["run"] for answer in answers} == {run_id(delivery_message_id("github", "crowd"))}
    assert {answer.status for answer in answers} <= {200, 202}
    ids = {each.id for each in site.published("pipeline.events") if each.data.get("delivery") == "crowd"}
    assert ids == {delivery_message_id("github", "crowd")}


def test_an_unsigned_request_and_one_that_is_signed_with_another_secret_are_refused(webhook: Served) -> None:
    unsigned = webhook.deliver(push(), x_hub_signature_256="")
    forged = webhook.deliver(push(), secret="a guess")
    assert (unsigned.status, forged.status) == (401, 401)
    assert unsigned.json["error"] == "X-Hub-Signature-256 is missing"
    assert forged.json["error"] == "X-Hub-Signature-256 does not match"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"ref": 7}', b"[" * 100_000])
def test_a_signed_body_that_is_no_push_is_refused_with_what_is_wrong(webhook: Served, body: bytes) -> None:
    answer = webhook.deliver(body)
    assert answer.status == 400
    assert answer.json["error"]


@pytest.mark.parametrize("header", ["x_github_event", "x_github_delivery"])
def test_a_request_without_githubs_headers_is_refused(webhook: Served, header: str) -> None:
    assert webhook.deliver(push(), **{header: ""}).status == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_refused_and_says_what_to_do(webhook: Served, method: str) -> None:
    answer = webhook.send(method)
    assert answer.status == 405
    assert answer.json == {"error": f"{method} is not served here", "hint": "POST a delivery"}


def test_a_body_as_large_as_github_sends_is_taken(webhook: Served) -> None:
    whole = json.dumps(push())[:-1] + ', "more": "'
    body = (whole + "x" * (MAX_BODY - len(whole) - 2) + '"}').encode()
    assert len(body) == MAX_BODY
    assert webhook.deliver(body, delivery="large").status == 202


def test_a_body_that_is_announced_as_too_large_is_refused_at_once(webhook: Served) -> None:
    headers = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {TOO_MUCH}\r\n\r\n"
    said = webhook.raw(headers.encode() + b"the beginning of it")
    assert said.startswith("HTTP/1.1 413 ")


def test_a_body_that_is_too_large_is_refused(webhook: Served) -> None:
    answer = webhook.send(body=b"x" * TOO_MUCH)
    assert answer.status == 413
    assert answer.json["hint"] == f"send at most {MAX_BODY} bytes"


def test_a_body_in_chunks_that_never_ends_is_refused_when_it_is_too_large(webhook: Served) -> None:
    chunk = b"x" * 1_000_000
    answer = webhook.send(body=(chunk for _ in range(60)))
    assert answer.status == 413


def test_a_body_in_broken_chunks_is_refused(webhook: Served) -> None:
    headers = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert webhook.raw(headers + b"no number\r\n{}\r\n0\r\n\r\n").startswith("HTTP/1.1 400 ")


def test_a_body_in_chunks_is_put_together(webhook: Served) -> None:
    body = json.dumps({"zen": "…"}).encode()
    headers = {
        "x-github-event": "ping",
        "x-github-delivery": "chunks",
        "x-hub-signature-256": sign(SECRET.encode(), body),
    }
    assert webhook.send(body=iter([body[:5], body[5:]]), headers=headers).status == 202


@pytest.mark.parametrize("length", ["-1", "abc", "1, 2"])
def test_a_length_that_is_none_is_refused(webhook: Served, length: str) -> None:
    said = webhook.raw(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{{}}".encode())
    assert said.startswith("HTTP/1.1 400 ")
    assert "Traceback" not in said


def test_what_comes_after_the_announced_length_is_not_part_of_the_body(webhook: Served) -> None:
    body = b"{}"
    headers = (
        f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-GitHub-Event: ping\r\nX-GitHub-Delivery: short\r\n"
        f"X-Hub-Signature-256: {sign(SECRET.encode(), body)}\r\n\r\n"
    )
    assert webhook.raw(headers.encode() + body + b"}}}}").startswith("HTTP/1.1 202 ")


def test_a_client_that_goes_away_in_the_middle_of_its_body_does_no_harm(webhook: Served) -> None:
    connection = webhook.connection()
    connection.putrequest("POST", "/")
    connection.putheader("content-length", "1000")
    connection.endheaders(b"only this")
    connection.close()
    assert webhook.deliver({"zen": "…"}, event="ping", delivery="after").status in (200, 202)


def test_a_ping_is_answered_and_starts_nothing(site: Site, webhook: Served) -> None:
    answer = webhook.deliver({"zen": "…"}, event="ping", delivery="ping")
    assert (answer.status, answer.json["reason"]) == (202, "pong")
    assert requests(site, "ping") == []


def test_one_connection_can_carry_many_deliveries(webhook: Served) -> None:
    connection = webhook.connection()
    body = json.dumps({"zen": "…"}).encode()
    for number in range(3):
        headers = {
            "x-github-event": "ping",
            "x-github-delivery": f"kept-{number}",
            "x-hub-signature-256": sign(SECRET.encode(), body),
        }
        connection.request("POST", "/", body, headers)
        got = connection.getresponse()
        got.read()
        assert got.status == 202
    connection.close()
