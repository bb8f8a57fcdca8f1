"""Plays the kubelet where it matters end to end: starts the process that a pod's container would be, with the
environment that the pod says and nothing else, tells the API server what becomes of it, and ends it with its pod.

Pods whose image is ``behave.test/pending:AGENT`` are left alone by kwok, and begun here. What an image adds (its user,
its root that can't be written to) is not there: tests/e2e/test_docker.py has that.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.cluster import Cluster

IMAGES = "behave.test/pending:{agent}"
ROOT = Path(__file__).resolve().parents[2]


class Kubelet:
    """``environments``: pod to what its process was started with."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._live, name="kubelet", daemon=True)
        self.environments: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(timeout=30)
        for each in self._running.values():
            each.kill()
            each.wait(timeout=10)

    def _live(self) -> None:
        while not self._stopped.wait(0.1):
            pods = {each["metadata"]["name"]: each for each in self._cluster.pods(self._namespace)}
            for name, pod in pods.items():
                leaves = pod["metadata"].get("deletionTimestamp")
                if name not in self.environments and pod["status"].get("containerStatuses") and not leaves:
                    self._begin(name, pod)
            for name, process in list(self._running.items()):
                status = process.poll()
                if status is None and (name not in pods or pods[name]["metadata"].get("deletionTimestamp")):
                    os.killpg(process.pid, signal.SIGKILL)
                elif status is not None:
                    del self._running[name]
                    if name in pods:
                        self._cluster.end_pod(self._namespace, name, status if status >= 0 else 128 - status)

    def _begin(self, name: str, pod: Any) -> None:
        (container,) = pod["spec"]["containers"]
        given = self._given(container["env"])
        if given is None:
            return  # its Secret is not there yet: the pod waits
        self.environments[name] = given
        folder = self._folder / name
        folder.mkdir()
        of_image = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), "HOME": str(folder)}
        of_image["TURNOUT_SANDBOX"] = "none"  # as most nodes have it
        of_image["TURNOUT_AGENT"] = container["image"].rpartition(":")[2]
        with (folder / "log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "agents.sdk.job"],
                cwd=ROOT,
                env=of_image | given,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        statuses = [{"name": container["name"], "image": container["image"], "state": {"running": {}}}]
        self._cluster.api.patch(
            f"/api/v1/namespaces/{self._namespace}/pods/{name}/status",
            {"status": {"phase": "Running", "containerStatuses": statuses}},
            "application/strategic-merge-patch+json",
        )

    def _given(self, variables: list[Any]) -> dict[str, str] | None:
        found = {}
        for each in variables:
            if "value" in each:
                found[each["name"]] = each["value"]
                continue
            wanted = each["valueFrom"]["secretKeyRef"]
            secret = self._cluster.api.find(f"/api/v1/namespaces/{self._namespace}/secrets/{wanted['name']}")
            if secret is None:
                return None
            found[each["name"]] = base64.b64decode(secret["data"][wanted["key"]]).decode()
        return found
