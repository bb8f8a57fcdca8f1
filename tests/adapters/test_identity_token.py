"""What a closed function is shown, by a metadata server on loopback."""

from __future__ import annotations

import base64
import json

import pytest

from tests.listening import Function
from tests.metadata_server import MetadataServer
from turnout.adapters.google_metadata import Metadata
from turnout.adapters.http_poster import HttpPoster
from turnout.adapters.identity_token import HEADER, identified
from turnout.adapters.system_clock import SystemClock
from turnout.core.envelope import Envelope, Received
from turnout.core.posting import Answered, Route, Unreachable

RECEIVED = Received(
    Envelope(id="e1", type="t", source="s", data={}).to_record("agent.results", "r1"), 0, 7, 0.0
)


def audience(header: str) -> object:
    part = header.removeprefix("Bearer ").split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["aud"]


@pytest.mark.parametrize("path", ["", "/", "/some/path?x=1"])
def test_a_token_is_made_for_the_functions_address_without_the_path(path: str) -> None:
    with MetadataServer() as server:
        shown = identified(f"https://orchestrator-1.example{path}", Metadata(server.host))
    assert list(shown) == [HEADER]
    assert audience(shown[HEADER]) == "https://orchestrator-1.example"


def test_a_function_is_posted_its_own_token_and_nothing_while_there_is_none() -> None:
    with Function() as function:
        with MetadataServer() as server:
            poster = HttpPoster(SystemClock(), lambda route: identified(route.url, Metadata(server.host)))
            assert poster.post(Route("t", function.url), RECEIVED) == Answered(204)
        assert audience(function.requests[0].headers[HEADER]) == function.url.rstrip("/")
        missed = poster.post(Route("t", function.url), RECEIVED)
        assert isinstance(missed, Unreachable), "it is tried again"
        assert "metadata server" in missed.reason
        assert len(function.requests) == 1
        poster.close()
