from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.deploy.complaints import complaint, last_words, platform
from agents.sdk.workspace import AgentError
from turnout.core.errors import TransientError

SAID = [
    ("The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?", "unreachable"),
    ('Error: Kubernetes cluster unreachable: Get "https://x:1/version": dial tcp 127.0.0.1:1: connect: connection '
     "refused", "unreachable"),
    ("Unable to connect to the server: dial tcp: lookup nowhere.example.org: no such host", "unreachable"),
    ("Error from server (ServiceUnavailable): the server is currently unable to handle the request", "unreachable"),
    ("Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown "
     "authority", "untrusted"),
    ("error: You must be logged in to the server (Unauthorized)", "unauthorized"),
    ("Error: Kubernetes cluster unreachable: the server has asked for the client to provide credentials",
     "unauthorized"),
    ('Error from server (Forbidden): secrets is forbidden: User "system:serviceaccount:a:b" cannot list resource '
     '"secrets" in API group "" in the namespace "x"', "forbidden"),
    ('Error: UPGRADE FAILED: pods "shop" is forbidden: violates PodSecurity "restricted:latest"', "denied"),
    ('Error from server (Forbidden): error when creating "x": pods "x" is forbidden: exceeded quota: small', "denied"),
    ("Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress", "locked"),
    ("Error: UPGRADE FAILED: context deadline exceeded", "timeout"),
    ("error: timed out waiting for the condition", "timeout"),
    ('error: deployment "shop" exceeded its progress deadline', "timeout"),
    ("Error: release: not found", "not found"),
    ('Error from server (NotFound): namespaces "nowhere" not found', "no namespace"),
    ('error: Apply failed with 1 conflict: conflict with "kubectl-create": .data.greeting', "conflict"),
    ('error: resource mapping not found for name: "x": no matches for kind "X" in version "y/v1"', "unknown kind"),
    ('The Deployment "shop" is invalid: spec.selector: Invalid value', "invalid"),
    ("something else", ""),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("said", "kind"), SAID)
def test_what_tools_say_is_told_apart(said: str, kind: str) -> None:
    assert complaint(said) == kind


@pytest.mark.parametrize(("said", "kind"), SAID)
def test_only_what_can_pass_by_itself_is_tried_again(said: str, kind: str) -> None:
    problem = platform(said, "https://cluster.example.org")
    assert isinstance(problem, TransientError) == (kind == "unreachable")
    if kind in ("untrusted", "unauthorized", "forbidden"):
        assert isinstance(problem, AgentError)
        assert problem.hint
    elif kind != "unreachable":
        assert problem is None


def test_the_line_that_tells_is_found() -> None:
    said = "W1122 deprecated\nError from server (BadRequest): no such thing\nsee --help\n"
    assert last_words(said) == "(BadRequest): no such thing"
    assert last_words("one\ntwo\n") == "two"
    assert len(last_words("error: " + "x" * 1000)) == 300


@given(st.text(max_size=300))
def test_any_words_have_an_answer(said: str) -> None:
    complaint(said)
    assert "\n" not in last_words(said)
