"""The kubernetes runtime on a real API server, scheduler and controllers; its pods are played by kwok."""

from __future__ import annotations

import pytest

from local.cluster import Cluster
from tests.contracts.job_runtime import PassedJobContract
from tests.runtimes.kubernetes_jobs import KubernetesJobs


class TestKubernetesRuntime(PassedJobContract):
    @pytest.fixture
    def harness(self, cluster: Cluster) -> KubernetesJobs:
        return KubernetesJobs(cluster, cluster.namespace())
