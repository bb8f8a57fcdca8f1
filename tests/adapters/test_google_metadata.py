from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.metadata_server import MetadataServer, identity
from turnout.adapters.google_metadata import MARGIN, Metadata
from turnout.core.errors import TransientError


@pytest.fixture
def server() -> Iterator[MetadataServer]:
    with MetadataServer() as started:
        yield started


def test_an_access_token_is_kept_until_shortly_before_it_expires(server: MetadataServer) -> None:
    now = [1000.0]
    tokens = Metadata(server.host, now=lambda: now[0])
    assert tokens.access_token() == "token"
    server.token = "newer"
    now[0] += 3600 - MARGIN - 1
    assert tokens.access_token() == "token"
    now[0] += 1
    assert tokens.access_token() == "newer"
    assert server.asked == 2


def test_each_audience_has_an_identity_token_of_its_own(server: MetadataServer) -> None:
    tokens = Metadata(server.host)
    one, other = (tokens.identity_token(f"https://{name}.example") for name in ("one", "other"))
    assert one != other
    assert tokens.identity_token("https://one.example") == one
    assert server.asked == 2


@pytest.mark.parametrize("answer", [(200, "[]"), (200, "{}"), (200, '{"access_token": "t"}'), (404, "")])
def test_an_answer_without_a_token_is_asked_for_again(
    server: MetadataServer, answer: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "answer", lambda *_: answer)
    with pytest.raises(TransientError, match=server.host):
        Metadata(server.host).access_token()


@pytest.mark.parametrize("text", ["", "a.b", identity("x", 0).replace(".", ""), "a.e30.c"])
def test_what_is_no_identity_token_is_told_without_it(
    server: MetadataServer, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "answer", lambda *_: (200, text))
    with pytest.raises(TransientError, match="no identity token in its answer"):
        Metadata(server.host).identity_token("https://one.example")


def test_a_machine_without_such_a_server_is_told_what_to_do() -> None:
    with pytest.raises(TransientError, match="GCE_METADATA_HOST"):
        Metadata("127.0.0.1:1").access_token()
