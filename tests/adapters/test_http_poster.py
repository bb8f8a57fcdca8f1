"""What becomes of a POST, by what happens on the wire."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.listening import Function, Request, Say
from turnout.adapters.http_poster import HttpPoster, split_url
from turnout.core.envelope import Envelope, Received
from turnout.core.errors import PermanentError, TransientError
from turnout.core.posting import Answered, Route, Unanswered, Unreachable

RECEIVED = Received(
    Envelope(id="e1", type="t", source="s", data={"a": 1}).to_record("agent.results", "run-1"), 0, 7, 0.0
)


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def poster() -> Iterator[HttpPoster]:
    made = HttpPoster(FixedClock())
    yield made
    made.close()


def to(url: str, timeout: float = 5.0) -> Route:
    return Route("agent.results", url, timeout)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_the_function_gets_a_cloud_event_at_its_path(poster: HttpPoster) -> None:
    with Function() as function:
        assert poster.post(to(function.url + "orchestrator?x=1"), RECEIVED) == Answered(204)
        (request,) = function.requests
    assert request.path == "/orchestrator?x=1"
    assert request.body == b'{"a":1}'
    assert request.headers["ce-id"] == "e1"
    assert request.headers["ce-partitionkey"] == "run-1"
    assert request.headers["content-type"] == "application/json"


def test_one_connection_carries_many_posts(poster: HttpPoster) -> None:
    with Function() as function:
        for _ in range(5):
            poster.post(to(function.url), RECEIVED)
        assert {each.connection for each in function.requests} == {1}


def test_threads_have_connections_of_their_own(poster: HttpPoster) -> None:
    together = threading.Barrier(3)

    def answer(_: Request) -> Say:
        together.wait(5)
        return Say()

    with Function(answer) as function:
        threads = [threading.Thread(target=poster.post, args=(to(function.url), RECEIVED)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({each.connection for each in function.requests}) == 3


def test_a_refusal_brings_its_status_and_the_start_of_what_was_said(poster: HttpPoster) -> None:
    with Function(lambda _: Say(422, b"data.outcome: got 7\n" + b"x" * 10_000)) as function:
        reply = poster.post(to(function.url), RECEIVED)
    assert isinstance(reply, Answered)
    assert reply.status == 422
    assert reply.text.startswith("data.outcome: got 7")
    assert len(reply.text) <= 500


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", None),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date(
    poster: HttpPoster, header: str, seconds: float | None
) -> None:
    with Function(lambda _: Say(503, headers={"Retry-After": header})) as function:
        assert poster.post(to(function.url), RECEIVED) == Answered(503, seconds)


def test_nobody_listening_is_unreachable(poster: HttpPoster) -> None:
    reply = poster.post(to(f"http://127.0.0.1:{free_port()}/"), RECEIVED)
    assert isinstance(reply, Unreachable)
    assert "refused" in reply.reason


def test_an_unknown_name_is_unreachable(poster: HttpPoster) -> None:
    assert isinstance(poster.post(to("http://no-such-host.invalid/"), RECEIVED), Unreachable)


def test_no_answer_in_time_is_unanswered_and_the_next_post_is_not_mixed_up_with_it(
    poster: HttpPoster,
) -> None:
    late = threading.Event()

    def answer(request: Request) -> Say:
        if request.path == "/slow":
            late.wait(5)
            return Say(200, b"late")
        return Say(200, b"prompt")

    with Function(answer) as function:
        reply = poster.post(to(function.url + "slow", timeout=0.1), RECEIVED)
        assert isinstance(reply, Unanswered)
        assert "0.1 s" in reply.reason
        assert poster.post(to(function.url + "quick"), RECEIVED) == Answered(200)
        late.set()


def test_a_connection_cut_in_the_middle_is_unanswered(poster: HttpPoster) -> None:
    with Function(lambda _: Say(cut=True)) as function:
        assert isinstance(poster.post(to(function.url), RECEIVED), Unanswered)


def test_an_idle_connection_that_the_server_has_closed_costs_nothing(poster: HttpPoster) -> None:
    with Function() as function:
        assert poster.post(to(function.url), RECEIVED) == Answered(204)
        port = function.port
    with Function(port=port) as again:
        assert poster.post(to(again.url), RECEIVED) == Answered(204)


def test_a_function_that_restarts_is_unreachable_and_then_there_again(poster: HttpPoster) -> None:
    with Function() as function:
        poster.post(to(function.url), RECEIVED)
        port, url = function.port, function.url
    assert isinstance(poster.post(to(url), RECEIVED), Unreachable)
    with Function(port=port) as again:
        assert poster.post(to(again.url), RECEIVED) == Answered(204)


def test_an_answer_that_announces_the_end_of_the_connection_is_honoured(poster: HttpPoster) -> None:
    with Function(lambda _: Say(200, b"ok", close=True)) as function:
        for _ in range(3):
            assert poster.post(to(function.url), RECEIVED) == Answered(200)
        assert {each.connection for each in function.requests} == {1, 2, 3}


def test_more_answer_than_anyone_reads_does_not_stay_in_the_connection(poster: HttpPoster) -> None:
    with Function(lambda _: Say(200, bytes(300_000))) as function:
        for _ in range(2):
            assert poster.post(to(function.url), RECEIVED) == Answered(200)


def test_credentials_are_sent_along(poster: HttpPoster) -> None:
    with Function() as function:
        signed = HttpPoster(FixedClock(), lambda route: {"authorization": f"Bearer for {route.url}"})
        signed.post(to(function.url), RECEIVED)
        signed.close()
        assert function.requests[0].headers["authorization"] == f"Bearer for {function.url}"


def test_without_credentials_nothing_is_sent() -> None:
    def refuse(_: Route) -> dict[str, str]:
        raise TransientError("metadata server is away")

    with Function() as function:
        reply = HttpPoster(FixedClock(), refuse).post(to(function.url), RECEIVED)
        assert reply == Unreachable("no credentials: metadata server is away")
        assert function.requests == []


@pytest.mark.parametrize("url", ["orchestrator", "ftp://x/", "http://", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(PermanentError, match="no address"):
        split_url(url)
