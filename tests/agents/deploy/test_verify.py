from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from agents.deploy.cluster import Cluster
from agents.deploy.kubeconfig import Access
from agents.deploy.options import Verify
from agents.deploy.verify import failing
from tests.agents.workspace import PlainWorkspace

ACCESS = Access("", "https://cluster.example.org", "shop", ("KUBECONFIG",))


@contextmanager
def site(*statuses: int) -> Iterator[tuple[str, list[str]]]:
    """Answers with these, one after another, the last one for ever."""
    left, asked = list(statuses), []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("Location", "http://elsewhere.example.org/")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def check(folder: Path, **options: object) -> tuple[str, PlainWorkspace]:
    workspace = PlainWorkspace(folder)
    workspace.given = {"KUBECONFIG": "the way", "OTHER": "another"}
    cluster = Cluster(workspace, ACCESS, "shop", {})
    asked = Verify.model_validate({"timeout": "10s", "interval": "10ms"} | options)
    return failing(cluster, asked, ("KUBECONFIG", "OTHER")), workspace


def test_an_address_is_asked_until_it_answers_as_it_should(tmp_path: Path) -> None:
    with site(503, 503, 200) as (url, asked):
        why, workspace = check(tmp_path, url=f"{url}/health?deep=1")
    assert why == ""
    assert asked == ["/health?deep=1"] * 3
    assert workspace.lines == [f"GET {url}/health?deep=1: 503", f"GET {url}/health?deep=1: 200"]


def test_an_address_that_does_not_is_told_with_its_last_answer(tmp_path: Path) -> None:
    with site(500) as (url, _):
        why, _ = check(tmp_path, url=url, timeout="100ms", status=[200, 204])
    assert why == f"{url} did not answer 200 or 204 within 100ms; the last answer was 500"


def test_redirections_are_not_followed(tmp_path: Path) -> None:
    with site(302) as (url, asked):
        why, _ = check(tmp_path, url=url, timeout="100ms")
        assert "the last answer was 302" in why
        assert check(tmp_path, url=url, status=302)[0] == ""
    assert set(asked) == {"/"}


def test_nobody_there_is_an_answer_too(tmp_path: Path) -> None:
    why, _ = check(tmp_path, url="http://127.0.0.1:9/", timeout="100ms")
    assert "refused" in why


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("true", ""),
        ("exit 7", "the check ended with exit code 7"),
        ('test -z "$KUBECONFIG" && test "$OTHER" = another', ""),
    ],
)
def test_a_command_says_so_by_its_exit_code(tmp_path: Path, command: str, why: str) -> None:
    assert check(tmp_path, command=command)[0] == why


def test_a_command_that_does_not_end_is_told(tmp_path: Path) -> None:
    assert check(tmp_path, command="sleep 30", timeout="200ms")[0] == "the check had not ended after 200ms"
