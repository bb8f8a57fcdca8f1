"""A real API server with nodes that run nothing, and a desk from which shops are deployed to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.deploy import agent
from local.cluster.cluster import Cluster
from local.cluster.programs import INSTALL, available, program
from tests.agents.workspace import SandboxedWorkspace, sandboxed, task, write
from tests.real import require
from turnout.core.messages import TaskRequested
from turnout.core.result import Result
from turnout.runtimes.sandbox import detect

DIGESTS = {number: f"sha256:{number:064x}" for number in range(1, 10)}


def pushed(number: int, behaviour: str = "run") -> dict[str, dict[str, str]]:
    """What the build stage gives on: an image that behaves so when it is deployed."""
    return {"build": {"image": f"behave.test/{behaviour}:{number}", "digest": DIGESTS[number]}}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    require("a Kubernetes API server, kubectl and Helm", available(), INSTALL)
    with Cluster(nodes=1) as running:
        yield running


def flattened(kubeconfig: Path) -> str:
    """With the content of the files that it names."""
    command = [str(program("kubectl")), f"--kubeconfig={kubeconfig}", "config", "view", "--raw", "--flatten"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Desk:
    """One namespace of the cluster, and the stage that deploys to it. ``config``: its kubeconfig's content."""

    def __init__(self, cluster: Cluster, folder: Path, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.config = flattened(cluster.kubeconfig_for(namespace, "admin"))
        self._folder = folder
        self._sandbox = detect(environ={"TURNOUT_SANDBOX": "auto", "TURNOUT_SANDBOX_NETWORK": "host"})
        self._number = 0

    def workspace(self, asked: TaskRequested, files: Mapping[str, str]) -> SandboxedWorkspace:
        self._number += 1
        made = sandboxed(self._folder / str(self._number), asked, self._sandbox)
        made.secrets = {"KUBECONFIG": self.config, "OTHER": "another-secret"}
        made.masker.hide(self.config)
        write(made.path, files)
        return made

    def task(self, options: Mapping[str, Any], *, rollback: bool = False, **fields: Any) -> TaskRequested:
        names = {"secrets": ("KUBECONFIG", "OTHER"), "environment": "staging", "timeout": 300.0}
        return task("deploy", {"timeout": "20s", **options}, **(names | fields)).with_(rollback=rollback)

    def deploy(
        self, files: Mapping[str, str], options: Mapping[str, Any] | None = None, **fields: Any
    ) -> tuple[Result, SandboxedWorkspace]:
        asked = self.task(options or {}, **fields)
        workspace = self.workspace(asked, files)
        return agent.run(asked, workspace), workspace

    def kubectl(self, *arguments: str) -> str:
        """As the administrator."""
        command = [str(program("kubectl")), f"--kubeconfig={self.cluster.kubeconfig}", "-n", self.namespace]
        ran = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=60)
        return ran.stdout + ran.stderr

    def helm(self, *arguments: str) -> str:
        command = [str(program("helm")), f"--kubeconfig={self.cluster.kubeconfig}", "-n", self.namespace]
        ran = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=60)
        return ran.stdout + ran.stderr

    def image(self, name: str = "shop") -> str:
        """Of the deployment; empty: there is none."""
        found = self.kubectl("get", "deployment", name, "--ignore-not-found", "-o", "json")
        if not found.strip():
            return ""
        return str(json.loads(found)["spec"]["template"]["spec"]["containers"][0]["image"])

    def greeting(self) -> str:
        return self.kubectl(
            "get", "configmap", "shop", "--ignore-not-found", "-o", "jsonpath={.data.greeting}"
        )


@pytest.fixture(params=["helm"])
def desk(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Desk:
    monkeypatch.setenv("TURNOUT_HELM", str(program(request.param)))
    monkeypatch.setenv("TURNOUT_KUBECTL", str(program("kubectl")))
    return Desk(cluster, tmp_path, cluster.namespace())
