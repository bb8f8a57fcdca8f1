"""The chart of the agents as Helm renders it, and what of it is put into a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from local.cluster import Cluster, program
from local.helm.table import CHART
from tests.runtimes.kubernetes_jobs import KubernetesJobs

EXAMPLES = tuple(sorted(CHART.glob("ci/*.yaml")))
RELEASE = "turnout"
Object = dict[str, Any]
_PLURAL = {
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "ResourceQuota": "/api/v1/namespaces/{namespace}/resourcequotas",
    "LimitRange": "/api/v1/namespaces/{namespace}/limitranges",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
}


def helm(
    *arguments: str, cluster: Cluster | None = None, name: str = "helm"
) -> subprocess.CompletedProcess[str]:
    """``name``: helm (4) or helm3."""
    speaks = [f"--kubeconfig={cluster.kubeconfig}"] if cluster else []
    command = [str(program(name)), *arguments, *speaks]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def rendered(values: Path, *more: str, namespace: str = RELEASE) -> list[Object]:
    """What Helm makes of the chart. ``more``: arguments besides."""
    done = helm("template", RELEASE, str(CHART), "--namespace", namespace, "--values", str(values), *more)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def of_kind(objects: Iterable[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def named(objects: Iterable[Object], kind: str, name: str) -> Object:
    (found,) = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return found


def pod_specs(objects: Iterable[Object]) -> list[Object]:
    """Of everything that makes pods."""
    return [each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment"]


def environment(deployment: Object) -> Mapping[str, str]:
    """What is said in the open."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def put(cluster: Cluster, objects: Sequence[Object], kinds: Iterable[str] = tuple(_PLURAL)) -> None:
    """Make those of these kinds."""
    for each in objects:
        if each["kind"] in kinds:
            namespace = each["metadata"].get("namespace", "")
            cluster.api.post(_PLURAL[each["kind"]].format(namespace=namespace), each)


def walled(cluster: Cluster, objects: list[Object], **quota: str) -> KubernetesJobs:
    """A namespace with all that the chart puts into that of jobs, and the launcher with its account. ``quota``: of
    its own."""
    namespace = cluster.namespace()
    account = f"{RELEASE}-launcher"
    mine: list[Object] = yaml.safe_load(
        yaml.safe_dump(objects).replace("namespace: turnout-jobs", f"namespace: {namespace}")
    )
    for each in mine:
        if each["metadata"]["name"] == account:  # its account is here, too, so that tests stay apart
            each["metadata"]["namespace"] = namespace
        for subject in each.get("subjects", []):
            subject["namespace"] = namespace
        if each["kind"] == "ResourceQuota":
            each["spec"]["hard"] |= quota
    here = [each for each in mine if each["metadata"].get("namespace") == namespace]
    put(cluster, here)
    return KubernetesJobs(cluster, namespace, str(cluster.kubeconfig_of(namespace, account)))
