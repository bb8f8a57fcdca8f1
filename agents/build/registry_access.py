"""How registries are reached: with which credentials, and which of them without TLS."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.build.naming import Name
from agents.sdk.toolchain import written_by
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.strict_json import read_json

USERNAME, PASSWORD, CONFIG = "REGISTRY_USERNAME", "REGISTRY_PASSWORD", "DOCKER_AUTH_CONFIG"
"""Secrets of the stage: for the registry of its image, and Docker's ``config.json`` for any others."""

DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """As HTTP and Docker's ``config.json`` have it."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Access:
    """``logins``: registry to credentials. ``insecure``: registries that are spoken to without TLS."""

    logins: Mapping[str, Login] = field(default_factory=dict, repr=False)
    insecure: frozenset[str] = frozenset()

    def login(self, registry: str) -> Login | None:
        return self.logins.get(_canonical(registry))

    def plain(self, name: Name) -> bool:
        """Whether TLS is left out: for registries on this machine's loopback, and for those that the operator names."""
        return name.loopback or name.registry in self.insecure

    def auth_file(self) -> str:
        """Docker's ``config.json``; empty where there are no credentials. Source: containers-auth.json(5)."""
        if not self.logins:
            return ""
        auths = {as_written(registry): {"auth": login.basic} for registry, login in self.logins.items()}
        return json.dumps({"auths": auths})


def access(workspace: Workspace, name: Name | None, insecure: Iterable[str]) -> Access:
    """From the stage's secrets only. Raises: AgentError for half a login, or a configuration that is none."""
    logins: dict[str, Login] = {}
    if given := workspace.secret(CONFIG):
        logins |= _configured(given)
    username, password = workspace.secret(USERNAME), workspace.secret(PASSWORD)
    if bool(username) != bool(password):
        there, missing = (USERNAME, PASSWORD) if username else (PASSWORD, USERNAME)
        raise AgentError(
            f"the stage has the secret {there} and not {missing}", "name both among the stage's `secrets`"
        )
    if username and name is not None:
        logins[_canonical(name.registry)] = Login(username, password)
    for login in logins.values():
        workspace.hide(login.password)
        workspace.hide(login.basic)
    return Access(logins, frozenset(insecure))


@written_by(f"the secret {CONFIG}")
def _configured(text: str) -> dict[str, Login]:
    logins = {}
    content: dict[str, Any] = read_json(text.encode())
    for registry, entry in content.get("auths", {}).items():
        if entry.get("auth"):
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        else:
            username, password = entry.get("username", ""), entry.get("password", "")
        if username and password:
            logins[_canonical(registry)] = Login(username, password)
    return logins


def _canonical(registry: str) -> str:
    host = registry.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DOCKER_HUB[0] if host in DOCKER_HUB else host


def as_written(registry: str) -> str:
    """Its name in Docker's configuration."""
    return "https://index.docker.io/v1/" if registry == DOCKER_HUB[0] else registry
