"""The stack from nothing to ready: images, secrets, containers; and where everything is."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import httpx

from local.compose.engine import Compose, find_program, socket_and_group
from local.compose.state import State
from local.images import build
from turnout.core.errors import PermanentError, TransientError

KINDS = ("turnout", *build.agents())
WAIT = 300
"""Seconds for everything to be healthy."""
CORE, ALL = "core", "core,observability"
_TOKEN_WITHIN = 60.0  # seconds


@dataclass(frozen=True)
class Images:
    """``tag`` empty: the commit's, and what is missing is built. ``kinds``: those that are needed."""

    registry: str = ""
    tag: str = ""
    kinds: Sequence[str] = KINDS


@dataclass
class Stack:
    """``environ``: of the programs. ``variables``: what the compose file asks for, beside what is found out."""

    state: State
    project: str = "turnout"
    files: Sequence[Path] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @cached_property
    def compose(self) -> Compose:
        """Raises: PermanentError."""
        variables = (self.state.variables, self.state.found)
        return Compose(find_program(self.environ), self.environ, self.project, variables, self.files)

    def prepare(self, images: Images) -> Compose:
        """Everything but the containers. Raises: PermanentError."""
        compose = self.compose
        socket, group = socket_and_group(self.environ)
        self.state.prepare()
        tag = self._images(images)
        found = {
            "STATE": str(self.state.folder),
            "DOCKER_SOCKET": socket,
            "DOCKER_GID": str(group),
            "REGISTRY": f"{images.registry}/" if images.registry else "",
            "TAG": tag,
            "COMPOSE_PROFILES": ALL,
            **self.variables,
        }
        self.state.note(found)
        return compose

    def up(self, images: Images) -> Compose:
        """Returns when all is healthy. Raises: PermanentError, TransientError."""
        compose = self.prepare(images)
        if not self.state.secret("metrics_token"):
            self._start(compose, CORE)
            self.state.give("metrics_token", self._metrics_token())
        self._start(compose, ALL)
        return compose

    def _start(self, compose: Compose, profiles: str) -> None:
        chosen = replace(compose, environ={**compose.environ, "COMPOSE_PROFILES": profiles})
        chosen.run("up", "--detach", "--wait", "--wait-timeout", str(WAIT), "--quiet-pull")

    def _images(self, images: Images) -> str:
        """The tag of the images that are there now. Raises: PermanentError."""
        if images.tag:
            return images.tag
        commit = build.read_commit()
        asked = build.Asked("docker", f"{images.registry}/" if images.registry else "")
        named = {kind: build.name_of(kind, asked, commit.tag) for kind in images.kinds}
        missing = [kind for kind, name in named.items() if commit.changed or not self._has(name)]
        if missing:
            ca = self.environ.get("CA", "")
            build.build(
                build.Asked(
                    build.find_engine("docker", self.environ),
                    asked.registry,
                    base=self.environ.get("BASE", ""),
                    ca=Path(ca) if ca else None,
                    network=self.environ.get("NETWORK", ""),
                    only=tuple(missing),
                ),
                self.environ,
            )
        return commit.tag

    def _has(self, image: str) -> bool:
        command = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
        return (
            subprocess.run(command, env=dict(self.environ), capture_output=True, check=False).returncode == 0
        )

    def address(self, service: str, port: int) -> str:
        """Where it is published. Raises: PermanentError."""
        said = self.compose.run("port", service, str(port)).strip()
        if not said:
            raise PermanentError(f"{service} is not published", "is it up? make compose-up")
        return f"http://{said.replace('0.0.0.0', '127.0.0.1')}"

    def sign_in_link(self) -> str:
        """Good once, for an hour. Raises: PermanentError."""
        said = self.compose.run("exec", "-T", "console", "turnout", "console-link", "--json")
        return str(json.loads(said)["link"])

    def _metrics_token(self) -> str:
        """A token for Prometheus. Raises: TransientError, PermanentError."""
        asked = {"name": "Prometheus of the compose stack", "scopes": ["metrics"], "days": None}
        headers = {"Authorization": f"Bearer {self.state.console_token()}"}
        url = f"{self.address('console', 8080)}/api/v1/tokens"
        deadline = time.monotonic() + _TOKEN_WITHIN
        while True:
            try:
                answer = httpx.post(url, json=asked, headers=headers, timeout=30)
            except httpx.HTTPError as error:
                if time.monotonic() > deadline:
                    raise TransientError(f"the console does not answer: {error}", "try again") from error
                time.sleep(0.5)
                continue
            if answer.status_code != 201:
                raise PermanentError(f"no token for Prometheus: {answer.status_code} {answer.text[:300]}")
            return str(answer.json()["token"])
