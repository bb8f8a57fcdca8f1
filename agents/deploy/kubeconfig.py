"""The way to the cluster, from the stage's secrets: read strictly, and made anew with nothing in it but what is needed.

A kubeconfig can name programs to run and files to read. The tools that would do so run in the sandbox, but what they
are told is not the repository's to say; so both are refused. A program of the folder that the operator names
(``TURNOUT_KUBE_PLUGINS``) is let through.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from agents.deploy.options import Credentials
from agents.sdk.workspace import AgentError

LARGEST = 100_000  # characters
_CLUSTER = (
    "server", "certificate-authority-data", "insecure-skip-tls-verify", "tls-server-name", "proxy-url",
    "disable-compression",
)  # fmt: skip
_USER = (
    "token", "client-certificate-data", "client-key-data", "username", "password", "as", "as-uid", "as-groups",
    "as-user-extra",
)  # fmt: skip
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_HIDDEN = ("token", "client-key-data", "password")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_BIND = "bind them in the environment of the project file, see docs/agents-deploy.md"


@dataclass(frozen=True, slots=True)
class Access:
    """``text``: a kubeconfig of one context. ``secrets``: the names of those it was made of. ``hidden``: what else is
    to be masked because of it."""

    text: str = field(repr=False)
    server: str
    namespace: str
    secrets: tuple[str, ...]
    hidden: tuple[str, ...] = field(default=(), repr=False)


def access(
    named: Credentials, secret: Callable[[str], str], plugin: Callable[[str], str | None] = lambda _: None
) -> Access:
    """``secret``: the value of one, empty: there is none. ``plugin``: where the operator has a program.

    Raises: AgentError when there is no way to the cluster, or one that is not taken.
    """
    for name in dict.fromkeys((named.kubeconfig, f"{named.kubeconfig}_DATA")):
        if text := secret(name):
            config = _parsed(text, name)
            return _made(name, _one(config, named.context, name), plugin)
    if server := secret(named.server):
        return _of_token(named, server, secret)
    raise AgentError(
        f"the stage has no credentials of a cluster: neither the secret {named.kubeconfig} (a kubeconfig's content)"
        f" nor {named.server} and {named.token}",
        _BIND,
    )


def _of_token(named: Credentials, server: str, secret: Callable[[str], str]) -> Access:
    token, authority = secret(named.token), secret(named.ca)
    if not token:
        raise AgentError(f"the stage has the secret {named.server}, but not {named.token}", _BIND)
    cluster = {"server": server.strip()}
    if authority:
        pem = authority if "-----BEGIN" in authority else ""
        cluster["certificate-authority-data"] = (
            base64.b64encode(pem.encode()).decode() if pem else authority.strip()
        )
    names = [name for name in (named.server, named.token, named.ca) if secret(name)]
    one = {"cluster": cluster, "user": {"token": token.strip()}, "namespace": ""}
    made = _made(named.server, one, lambda _: None)
    return Access(made.text, made.server, made.namespace, tuple(names), made.hidden)


def _parsed(text: str, name: str) -> dict[str, Any]:
    """As it is, or in base64."""
    if len(text) > LARGEST:
        raise AgentError(f"{name} has more than {LARGEST} characters", "leave one context in it")
    for candidate in _readings(text):
        try:
            if any(isinstance(each, yaml.AliasEvent) for each in yaml.parse(candidate, _LOADER)):
                raise AgentError(f"{name} uses YAML's aliases", "write it out")
            found = yaml.load(candidate, _LOADER)  # noqa: S506 - a safe loader
        except (yaml.YAMLError, ValueError):
            continue
        if isinstance(found, dict) and "clusters" in found:
            return found
    raise AgentError(
        f"the secret {name} is no kubeconfig", "it has to hold its content, as YAML or in base64"
    )


def _readings(text: str) -> Iterator[str]:
    yield text
    try:
        yield base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        pass


def _one(config: dict[str, Any], context: str, name: str) -> dict[str, Any]:
    """The cluster, the user and the namespace of a context."""
    wanted = context or config.get("current-context")
    contexts = _named(config.get("contexts"), "context")
    if not wanted and len(contexts) == 1:
        wanted = next(iter(contexts))
    if not wanted:
        raise AgentError(f"{name} has no current-context", "name one with with.credentials.context")
    found = contexts.get(str(wanted))
    if found is None:
        there = ", ".join(sorted(contexts)) or "none"
        raise AgentError(f"{name} has no context {str(wanted)[:80]!r}: there is {there}")
    cluster = _named(config.get("clusters"), "cluster").get(str(found.get("cluster")))
    user = _named(config.get("users"), "user").get(str(found.get("user")))
    if cluster is None or user is None:
        raise AgentError(
            f"{name}: the context {str(wanted)[:80]!r} names a cluster or user that is not in it"
        )
    return {"cluster": cluster, "user": user, "namespace": str(found.get("namespace") or "")}


def _named(entries: Any, kind: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for each in entries if isinstance(entries, list) else ():
        if isinstance(each, dict) and isinstance(each.get(kind), dict):
            found.setdefault(str(each.get("name")), each[kind])
    return found


def _made(name: str, one: dict[str, Any], plugin: Callable[[str], str | None]) -> Access:
    cluster, user = one["cluster"], dict(one["user"])
    for part, known in ((cluster, _CLUSTER), (user, (*_USER, "exec", "auth-provider"))):
        for key in part:
            if key in _FILES:
                raise AgentError(
                    f"{name} names a file ({key}): it would be one of the agents' machine",
                    f"put its content in, as {key.removesuffix('File')}{'-data' if 'File' not in key else ''}",
                )
            if key not in known and key not in ("extensions", "interactiveMode"):
                raise AgentError(f"{name} says {str(key)[:80]!r}, which is not taken here")
    if user.get("auth-provider") is not None:
        raise AgentError(f"{name} uses auth-provider, which kubectl no longer knows", "use a token")
    given = {key: user[key] for key in _USER if user.get(key) is not None}
    if user.get("exec") is not None:
        given["exec"] = _program(name, user["exec"], plugin)
    server = str(cluster.get("server", ""))
    if not server.startswith(("https://", "http://")):
        raise AgentError(f"{name} names no server like https://cluster.example.org:6443")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "turnout",
        "clusters": [{"name": "turnout", "cluster": {k: cluster[k] for k in _CLUSTER if k in cluster}}],
        "users": [{"name": "turnout", "user": given}],
        "contexts": [
            {
                "name": "turnout",
                "context": {"cluster": "turnout", "user": "turnout"}
                | ({"namespace": one["namespace"]} if one["namespace"] else {}),
            }
        ],
    }
    hidden = tuple(str(given[key]) for key in _HIDDEN if given.get(key))
    return Access(json.dumps(config), server, one["namespace"], (name,), hidden)


def _program(name: str, asked: Any, plugin: Callable[[str], str | None]) -> dict[str, Any]:
    command = str(asked.get("command", "")) if isinstance(asked, dict) else ""
    place = plugin(command) if command and "/" not in command else None
    if place is None:
        raise AgentError(
            f"{name} runs a program for its credentials ({command[:80] or 'exec'}): that is refused",
            "use a token of a service account; or let the operator put the program into TURNOUT_KUBE_PLUGINS",
        )
    return {**asked, "command": place, "interactiveMode": "Never"}
