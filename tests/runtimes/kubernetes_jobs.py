"""A cluster's Jobs, for the contract of runtimes: pods that begin by themselves and do nothing until they are ended."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.cluster import Cluster
from local.server_process import free_port
from tests.contracts.job_runtime import Step, a_task, go_on
from tests.waiting import wait_until
from turnout.adapters.system_clock import SystemClock
from turnout.core.images import Images
from turnout.core.messages import TaskRequested
from turnout.core.model import Runtime
from turnout.gateway import Passes
from turnout.runtimes.kubernetes import KubernetesRuntime
from turnout.runtimes.kubernetes_api import open_api
from turnout.runtimes.kubernetes_manifest import name_of
from turnout.runtimes.kubernetes_placement import Placement

BEHAVIOURS = ("succeed", "fail", "oom", "evicted", "crash", "image-pull", "pending")
IMAGES = Images(
    named={each: f"behave.test/{each}:1" for each in BEHAVIOURS} | {"script": "turnout.example.org/script:1"}
)
"""An agent's name is how its pods behave (`local.cluster`); those of `script` go on until they are ended."""


class Stepping:
    """An API that calls ``step`` before each question, or that is away."""

    def __init__(self, api: Any, step: Step, jobs: KubernetesJobs) -> None:
        self._api = api
        self._step = step
        self._jobs = jobs

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._api, name)
        if not callable(found):
            return found

        def ask(*given: Any, **named: Any) -> Any:
            self._step(name)
            if self._jobs.cut_off:
                return getattr(self._jobs.nowhere, name)(*given, **named)
            return found(*given, **named)

        return ask


class KubernetesJobs:
    kind = Runtime.KUBERNETES
    patience = 40.0
    begins = True

    def __init__(self, cluster: Cluster, namespace: str, config: str = "") -> None:
        """``config``: the kubeconfig of the launcher's account; empty: the administrator's."""
        self.cluster = cluster
        self.namespace = namespace
        self.config = config or str(cluster.kubeconfig)
        self.cut_off = False
        elsewhere = json.loads(Path(self.config).read_text())
        elsewhere["clusters"][0]["cluster"]["server"] = (
            f"https://127.0.0.1:{free_port()}"  # nobody listens there
        )
        away = cluster.folder / f"kubeconfig-away-{namespace}"
        away.write_text(json.dumps(elsewhere))
        self.nowhere = open_api(str(away), "", namespace)

    def open(self, step: Step = go_on, placement: Placement | None = None) -> KubernetesRuntime:
        def connect() -> Stepping:
            return Stepping(open_api(self.config, "", self.namespace), step, self)

        passes = Passes("http://gateway.example.org/gateway", b"key", SystemClock())
        return KubernetesRuntime(IMAGES, passes, placement, connect=connect)

    def begun(self, attempt: str) -> int:
        """Pods that there are, and those that its Job is told to have made; a deleted one leaves only that."""
        told = self.cluster.api.get(
            f"/api/v1/namespaces/{self.namespace}/events?fieldSelector=reason=SuccessfulCreate,"
            f"involvedObject.name={name_of(attempt)}"
        )["items"]
        made = {each["message"].removeprefix("Created pod: ") for each in told}
        return len(made | {each["metadata"]["name"] for each in self.pods(attempt)})

    def begin(self, attempt: str) -> None:
        raise AssertionError("the cluster begins them by itself")

    def end(self, attempt: str, *, status: int = 0) -> None:
        self.cluster.end_pod(self.namespace, self.pod(attempt)["metadata"]["name"], status)

    def environment(self, attempt: str) -> Mapping[str, str]:
        """As a kubelet would put it together."""
        found: dict[str, str] = {}
        for each in self.pod(attempt)["spec"]["containers"][0]["env"]:
            if "value" in each:
                found[each["name"]] = each["value"]
            else:
                wanted = each["valueFrom"]["secretKeyRef"]
                held = self.cluster.api.get(f"/api/v1/namespaces/{self.namespace}/secrets/{wanted['name']}")
                found[each["name"]] = base64.b64decode(held["data"][wanted["key"]]).decode()
        return found

    @contextmanager
    def away(self) -> Iterator[None]:
        self.cut_off = True
        try:
            yield
        finally:
            self.cut_off = False

    def refused(self) -> TaskRequested | None:
        return a_task(self.kind, "refused", agent="other")

    def job(self, attempt: str) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.api.get(
            f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{name_of(attempt)}"
        )
        return found

    def pods(self, attempt: str) -> list[dict[str, Any]]:
        return self.cluster.pods(self.namespace, f"batch.kubernetes.io/job-name={name_of(attempt)}")

    def pod(self, attempt: str) -> dict[str, Any]:
        """The one pod of its Job, once it is made."""

        def look() -> dict[str, Any] | None:
            found = self.pods(attempt)
            return found[0] if found else None

        found = wait_until(look, self.patience, "the job has a pod")
        assert found is not None
        return found
