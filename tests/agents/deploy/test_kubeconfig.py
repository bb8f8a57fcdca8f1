from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.deploy.kubeconfig import access
from agents.deploy.options import Credentials
from agents.sdk.workspace import AgentError

NAMED = Credentials()


def config(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> str:
    return yaml.safe_dump({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [
            {"name": "one", "cluster": {"server": "https://one.example.org:6443"} | (cluster or {})},
            {"name": "two", "cluster": {"server": "https://two.example.org"}},
        ],
        "users": [
            {"name": "someone", "user": {"token": "t0ken-of-someone"} if user is None else user},
            {"name": "other", "user": {"token": "another-token"}},
        ],
        "contexts": [
            {"name": "here", "context": {"cluster": "one", "user": "someone", "namespace": "shop"}},
            {"name": "there", "context": {"cluster": "two", "user": "other"}},
            {"name": "nowhere", "context": {"cluster": "three", "user": "other"}},
        ],
    })  # fmt: skip


def secrets(**values: str) -> Callable[[str], str]:
    return lambda name: values.get(name, "")


def test_only_the_context_that_is_used_is_passed_on() -> None:
    found = access(NAMED, secrets(KUBECONFIG=config()))
    assert (found.server, found.namespace) == ("https://one.example.org:6443", "shop")
    assert found.secrets == ("KUBECONFIG",)
    assert found.hidden == ("t0ken-of-someone",)
    assert "two.example.org" not in found.text
    assert "another-token" not in found.text
    made = json.loads(found.text)
    assert made["users"] == [{"name": "turnout", "user": {"token": "t0ken-of-someone"}}]
    assert "t0ken" not in repr(found)


def test_another_context_can_be_named() -> None:
    found = access(Credentials(context="there"), secrets(KUBECONFIG=config()))
    assert found.server == "https://two.example.org"


@pytest.mark.parametrize("name", ["KUBECONFIG", "KUBECONFIG_DATA"])
def test_it_may_be_in_base64(name: str) -> None:
    encoded = base64.encodebytes(config().encode()).decode()
    assert access(NAMED, secrets(**{name: encoded})).server == "https://one.example.org:6443"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (config(user={"exec": {"command": "aws", "args": ["eks"]}}), "runs a program for its credentials"),
        (config(user={"exec": {"command": "/bin/sh"}}), "runs a program for its credentials"),
        (config(user={"auth-provider": {"name": "gcp"}}), "auth-provider"),
        (config(user={"tokenFile": "/var/run/token"}), "names a file"),
        (config(user={"client-key": "/root/key.pem"}), "names a file"),
        (config(cluster={"certificate-authority": "/etc/ssl/ca.pem"}), "names a file"),
        (config(cluster={"something-new": "x"}), "not taken here"),
        (config(cluster={"server": "file:///etc/passwd"}), "names no server"),
        ("just some words", "is no kubeconfig"),
        ("[1, 2]", "is no kubeconfig"),
        ("clusters: &a [x]\nusers: *a\n", "aliases"),
        ("clusters: []\n", "no current-context"),
        ("x" * 200_000, "more than"),
    ],
)
def test_what_could_run_programs_or_read_files_or_is_none_is_refused(given: str, message: str) -> None:
    with pytest.raises(AgentError, match=message):
        access(NAMED, secrets(KUBECONFIG=given))


@pytest.mark.parametrize(
    ("context", "message"), [("else", "has no context 'else'"), ("nowhere", "not in it")]
)
def test_a_context_that_is_not_there_is_named(context: str, message: str) -> None:
    with pytest.raises(AgentError, match=message):
        access(Credentials(context=context), secrets(KUBECONFIG=config()))


def test_a_program_of_the_operators_is_let_through_by_its_place() -> None:
    asked = config(user={"exec": {"command": "gke-auth", "apiVersion": "client.authentication.k8s.io/v1"}})
    found = access(NAMED, secrets(KUBECONFIG=asked), lambda name: f"/plugins/{name}")
    program = json.loads(found.text)["users"][0]["user"]["exec"]
    assert program["command"] == "/plugins/gke-auth"
    assert program["interactiveMode"] == "Never"
    elsewhere = config(user={"exec": {"command": "../../bin/sh"}})
    with pytest.raises(AgentError, match="runs a program"):
        access(NAMED, secrets(KUBECONFIG=elsewhere), lambda name: f"/plugins/{name}")


def test_a_server_and_a_token_are_a_way_too() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
    found = access(NAMED, secrets(KUBE_SERVER="https://c.example.org", KUBE_TOKEN="s3cret", KUBE_CA=pem))
    made = json.loads(found.text)
    assert made["users"][0]["user"] == {"token": "s3cret"}
    authority = made["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(authority).decode() == pem
    assert found.secrets == ("KUBE_SERVER", "KUBE_TOKEN", "KUBE_CA")
    with pytest.raises(AgentError, match="not KUBE_TOKEN"):
        access(NAMED, secrets(KUBE_SERVER="https://c.example.org"))


def test_without_any_it_is_said_which_secrets_are_looked_for() -> None:
    with pytest.raises(AgentError, match=r"KUBECONFIG .* nor KUBE_SERVER and KUBE_TOKEN .*project file"):
        access(NAMED, secrets())


@given(st.text(max_size=300))
def test_any_text_is_a_way_or_a_reason(text: str) -> None:
    try:
        access(NAMED, secrets(KUBECONFIG=text))
    except AgentError:
        pass  # nothing else may come out


@given(
    st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4),
    st.sampled_from(["exec", "tokenFile", "client-certificate", "client-key", "auth-provider"]),
)
def test_no_user_that_names_a_file_or_a_program_gets_through(user: dict[str, str], how: str) -> None:
    with pytest.raises(AgentError):
        access(NAMED, secrets(KUBECONFIG=config(user=user | {how: "/etc/passwd"})))
