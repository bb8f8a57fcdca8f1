"""The whole loop with Jobs: a push, the launcher with the chart's account, a real API server, the job's own process,
the gateway, Slack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.cluster import Cluster
from local.helm.table import CHART
from tests.e2e.kubelet import IMAGES, Kubelet
from tests.e2e.system import System
from tests.infra.chart import RELEASE, rendered, walled
from tests.runtimes.kubernetes_jobs import KubernetesJobs
from tests.waiting import wait_until
from turnout.core.artifact_keys import attempt_key
from turnout.core.model import Outcome
from turnout.runtimes.kubernetes_manifest import name_of

pytestmark = [pytest.mark.real, pytest.mark.timeout(200)]

PIPELINE = """\
pipeline:
  stages:
    - name: make
      agent: script
      runtime: kubernetes
      with: {run: "mkdir out; echo kept > out/a.txt; env | sort", artifacts: ["out/*.txt"]}
    - name: slow
      agent: script
      runtime: kubernetes
      with: {run: "echo $TURNOUT_ATTEMPT_NUMBER >> %(effects)s; test $TURNOUT_ATTEMPT_NUMBER = 2 || sleep 500"}
  notify_on_success: true
"""


@pytest.fixture
def jobs(cluster: Cluster) -> KubernetesJobs:
    return walled(cluster, rendered(CHART / "ci" / "dev.yaml"))


@pytest.fixture
def kubelet(cluster: Cluster, jobs: KubernetesJobs, tmp_path: Path) -> Iterator[Kubelet]:
    (tmp_path / "pods").mkdir()
    with Kubelet(cluster, jobs.namespace, tmp_path / "pods") as playing:
        yield playing


def test_a_push_runs_as_jobs_and_one_that_is_evicted_runs_again(
    cluster: Cluster, jobs: KubernetesJobs, kubelet: Kubelet, tmp_path: Path
) -> None:
    settings = {
        "TURNOUT_LAUNCHER_RUNTIMES": "kubernetes",
        "TURNOUT_AGENT_IMAGES": IMAGES,
        "TURNOUT_KUBERNETES_CONFIG": jobs.config,
        "TURNOUT_KUBERNETES_NAMESPACE": jobs.namespace,
        "TURNOUT_KUBERNETES_SERVICE_ACCOUNT": f"{RELEASE}-job",
        "TURNOUT_LEASE": "600",
    }
    with ExitStack() as stack:
        system = stack.enter_context(System(tmp_path, settings))
        system.make_repository({"pipeline.yml": PIPELINE % {"effects": system.effects}})
        system.start()
        id = system.deliver()
        wait_until(lambda: system.effects_done()["1"], 90, "the second stage is at work")
        run = system.run(id)
        assert run is not None
        (first,) = run.stages["slow"].tasks["slow"].attempts
        cluster.evict(jobs.namespace, jobs.pod(first.id)["metadata"]["name"])
        (run,) = system.wait_for([id], within=90)

        assert run.outcome is Outcome.SUCCESS, run.reason
        lost, again = run.stages["slow"].tasks["slow"].attempts
        assert lost.result is not None
        assert (lost.by, lost.result.lost) == ("runtime", True)
        # where its pod is gone before somebody looks, the Job tells why
        assert "its pod was evicted" in lost.result.reason or "DisruptionTarget" in lost.result.reason
        assert again.result is not None
        assert again.result.outcome is Outcome.SUCCESS
        assert system.effects_done() == {"1": 1, "2": 1}

        (made,) = run.stages["make"].tasks["make"].attempts
        assert made.result is not None
        (kept,) = made.result.artifacts
        assert system.wiring.artifacts.get(kept.key) == b"kept\n"
        pod = jobs.pod(made.id)
        assert pod["spec"]["serviceAccountName"] == f"{RELEASE}-job"
        assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "4Gi"  # the chart's
        given = kubelet.environments[pod["metadata"]["name"]]
        assert set(given) == {"TURNOUT_GATEWAY_URL", "TURNOUT_ATTEMPT", "TURNOUT_ATTEMPT_TOKEN"}
        assert (
            given["TURNOUT_ATTEMPT_TOKEN"]
            not in system.wiring.artifacts.get(attempt_key(id, "make", 1)).decode()
        )
        wait_until(lambda: jobs.open().state(made.id).phase == "ended", 30, "its job is told as ended")
        assert jobs.job(made.id)["metadata"]["name"] == name_of(made.id)

        (message,) = system.wait_for_messages(1)
        assert "acme/shop" in str(message)
        assert len(kubelet.environments) == 3
