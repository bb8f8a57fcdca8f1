"""How registries are reached, and what they say that they have."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from agents.build.manifests import digest_of
from agents.build.naming import Name, read_name
from agents.build.registry_access import Access, Login, access
from agents.sdk.workspace import AgentError
from local.loopback import Loopback
from tests.agents.workspace import PlainWorkspace
from turnout.core.errors import TransientError

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
NAME = read_name("registry.example.org/team/app")
Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def registry(answer: Callable[[str, dict[str, str], int], Answer]) -> Iterator[Name]:
    """``answer``: of a path, the request's headers and the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self.path, dict(self.headers), self.connection.getsockname()[1])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with Loopback(Handler) as running:
        yield Name(f"127.0.0.1:{running.server.server_port}", "app")


def test_the_digest_is_counted_from_what_the_registry_gives() -> None:
    with registry(lambda *_: (200, {"Docker-Content-Digest": DIGEST}, MANIFEST)) as name:
        assert digest_of(name, "main", Access()) == DIGEST
    with (
        registry(lambda *_: (200, {"Docker-Content-Digest": "sha256:" + "0" * 64}, MANIFEST)) as name,
        pytest.raises(AgentError, match="says that"),
    ):
        digest_of(name, "main", Access())


def test_a_tag_that_is_not_there_has_no_digest() -> None:
    with registry(lambda *_: (404, {}, b"{}")) as name:
        assert digest_of(name, "main", Access()) == ""


def test_a_registry_in_trouble_may_be_asked_again() -> None:
    with registry(lambda *_: (503, {}, b"")) as name, pytest.raises(TransientError, match="answers 503"):
        digest_of(name, "main", Access())
    with pytest.raises(TransientError, match="cannot be asked"):
        digest_of(name, "main", Access())


def test_a_token_is_fetched_where_the_registry_says() -> None:
    def answer(path: str, headers: dict[str, str], port: int) -> Answer:
        if path.startswith("/token"):
            assert headers["Authorization"] == f"Basic {base64.b64encode(b'me:word').decode()}"
            assert "scope=repository%3Aapp%3Apull" in path
            return 200, {}, json.dumps({"token": "of-the-day"}).encode()
        if headers.get("Authorization") == "Bearer of-the-day":
            return 200, {}, MANIFEST
        asked = f'Bearer realm="http://127.0.0.1:{port}/token",service="r",scope="repository:app:pull"'
        return 401, {"WWW-Authenticate": asked}, b"{}"

    with registry(answer) as name:
        assert digest_of(name, "main", Access({name.registry: Login("me", "word")})) == DIGEST


def test_a_registry_that_refuses_names_the_secrets() -> None:
    with (
        registry(lambda *_: (401, {"WWW-Authenticate": "Basic realm=x"}, b"")) as name,
        pytest.raises(AgentError, match="REGISTRY_PASSWORD"),
    ):
        digest_of(name, "main", Access())


def test_credentials_are_the_stages_secrets_and_hidden_from_the_log(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    workspace.given = {"REGISTRY_USERNAME": "me", "REGISTRY_PASSWORD": "word"}
    found = access(workspace, NAME, ())
    assert found.login("registry.example.org") == Login("me", "word")
    basic = base64.b64encode(b"me:word").decode()
    assert json.loads(found.auth_file()) == {"auths": {"registry.example.org": {"auth": basic}}}
    assert {"word", basic} <= set(workspace.hidden)
    assert "word" not in repr(found)


def test_other_registries_are_in_dockers_own_configuration(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    auths = {
        "https://index.docker.io/v1/": {"auth": base64.b64encode(b"hub:a").decode()},
        "other.example.org": {"username": "o", "password": "b"},
        "helped.example.org": {},
    }
    workspace.given = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": auths})}
    found = access(workspace, NAME, ())
    assert found.login("docker.io") == Login("hub", "a")
    assert found.login("other.example.org") == Login("o", "b")
    assert set(json.loads(found.auth_file())["auths"]) == {"https://index.docker.io/v1/", "other.example.org"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"REGISTRY_USERNAME": "me"}, "REGISTRY_USERNAME and not REGISTRY_PASSWORD"),
        ({"DOCKER_AUTH_CONFIG": "pa55"}, "the secret DOCKER_AUTH_CONFIG cannot be read"),
        ({"DOCKER_AUTH_CONFIG": '{"auths": []}'}, "the secret DOCKER_AUTH_CONFIG cannot be read"),
    ],
)
def test_half_a_login_is_an_error(tmp_path: Path, given: dict[str, str], said: str) -> None:
    workspace = PlainWorkspace(tmp_path)
    workspace.given = given
    with pytest.raises(AgentError, match=said) as raised:
        access(workspace, NAME, ())
    assert "pa55" not in str(raised.value)


def test_tls_is_left_out_only_on_loopback_and_where_the_operator_says_so() -> None:
    found = Access(insecure=frozenset({"old.example.org"}))
    names = ["127.0.0.1:5000/a", "old.example.org/a", "registry.example.org/a", "10.0.0.1:5000/a"]
    assert [found.plain(read_name(name)) for name in names] == [True, True, False, False]
