"""Deploys of a whole stack to a real API server: one at a time, taken back when what follows fails."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.cluster import Cluster, program
from tests.cluster import cluster
from tests.e2e.system import REPOSITORY, System
from turnout.core.run import Run

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
cluster = cluster

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: shop}}
  template:
    metadata:
      labels: {app: shop}
      annotations: {version: "%(version)s"}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: shop
          image: behave.test/run:1
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""
DEPLOY: dict[str, Any] = {
    "name": "ship",
    "agent": "deploy",
    "environment": "staging",
    "secrets": ["KUBECONFIG"],
    "with": {"kubectl": {"manifests": ["shop.yml"]}},
}


class Yard:
    """A stack whose project deploys to a namespace of its own."""

    def __init__(self, system: System, cluster: Cluster) -> None:
        self.system = system
        self.namespace = cluster.namespace()
        self.kubeconfig = cluster.kubeconfig_for(self.namespace, "admin")

    def make(self, *after: dict[str, Any]) -> None:
        pipeline = {"pipeline": {"stages": [DEPLOY, *after]}}
        self.system.make_repository(
            {"pipeline.yml": yaml.safe_dump(pipeline), "shop.yml": MANIFEST % {"version": 1}}
        )
        flat = self.system.home / "kubeconfig"
        flat.write_text(self._kubectl("config", "view", "--raw", "--flatten"))
        flat.chmod(0o600)
        project = {
            "repository": REPOSITORY,
            "clone_url": str(self.system.home / "work"),
            "environments": {"staging": {"secrets": {"KUBECONFIG": {"file": str(flat)}}}},
        }
        folder = self.system.wiring.settings.projects_folder
        (folder / "shop.yml").write_text(yaml.safe_dump({"project": project}))

    def push(self, version: int) -> str:
        work = self.system.home / "work"
        (work / "shop.yml").write_text(MANIFEST % {"version": version})
        self.system._git("commit", "--quiet", "--all", "--allow-empty", "-m", f"Version {version}")
        return self.system.deliver()

    @property
    def version(self) -> str:
        shown = json.loads(self._kubectl("get", "deployment", "shop", "-o", "json"))
        return str(shown["spec"]["template"]["metadata"]["annotations"]["version"])

    def _kubectl(self, *arguments: str) -> str:
        command = [str(program("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def settings() -> dict[str, str]:
    return {
        "TURNOUT_KUBECTL": str(program("kubectl")),
        "TURNOUT_HELM": str(program("helm")),
        "TURNOUT_SLOTS": "3",
    }


def test_deploys_to_one_environment_take_turns_in_the_order_of_their_pushes(
    tmp_path: Path, cluster: Cluster
) -> None:
    with System(tmp_path, settings()) as system:
        yard = Yard(system, cluster)
        yard.make()
        system.start()
        ids = [yard.push(version) for version in (1, 2, 3)]
        runs = system.wait_for(ids, 200)
        assert [run.outcome and run.outcome.value for run in runs] == ["success"] * 3, _said(runs)
        times = sorted(
            (attempt.launched_at, attempt.finished_at, run.id)
            for run in runs
            for attempt in run.stages["ship"].tasks["ship"].attempts
        )
        assert [run for _, _, run in times] == ids
        for (_, ended, _), (begun, _, _) in pairwise(times):
            assert ended is not None
            assert ended <= begun
        assert yard.version == "3"


def test_what_was_deployed_is_taken_back_when_a_later_stage_that_asks_for_it_fails(
    tmp_path: Path, cluster: Cluster
) -> None:
    with System(tmp_path, settings()) as system:
        yard = Yard(system, cluster)
        check = "grep -q 'version: \"1\"' shop.yml"
        yard.make({"name": "smoke", "agent": "script", "rollback": "ship", "with": {"run": check}})
        system.start()
        (good,) = system.wait_for([yard.push(1)], 100)
        assert good.outcome is not None
        assert good.outcome.value == "success", _said([good])
        (bad,) = system.wait_for([yard.push(2)], 150)
        assert bad.outcome is not None
        assert bad.outcome.value == "failure", _said([bad])
        assert yard.version == "1", _said([bad])


def _said(runs: list[Run]) -> str:
    return "\n".join(
        f"{run.id[:8]} {task.id}: {attempt.result.summary} {attempt.result.reason}"
        for run in runs
        for _, task in run.tasks()
        for attempt in task.attempts
        if attempt.result
    )
