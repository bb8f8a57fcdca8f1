"""The chart of the agents as Helm renders it, and what of it is put into a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from local.cluster import Cluster, program
from local.helm.table import CHART

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


def secrets_of(objects: Iterable[Object]) -> set[tuple[str, str]]:
    """Secrets and their keys that pods want; an empty key: all of it."""
    found = set()
    for spec in pod_specs(objects):
        for volume in spec["volumes"]:
            for source in volume.get("projected", {}).get("sources", []):
                found |= {(source["secret"]["name"], item["key"]) for item in source["secret"]["items"]}
            if "secret" in volume:
                found.add((volume["secret"]["secretName"], ""))
    return found
