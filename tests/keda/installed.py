"""KEDA's operator and its metrics server beside a cluster, as processes of this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.cluster import Cluster, program
from local.cluster.cluster import tied_to_us
from local.server_process import ServerProcess, free_port
from tests.waiting import wait_until

SCRIPT = Path(__file__).resolve().parents[2] / "local" / "setup" / "keda.sh"
NAMESPACE = "keda"
METRICS = "/apis/external.metrics.k8s.io/v1beta1"


def kubectl(cluster: Cluster, *arguments: str) -> str:
    command = [str(program("kubectl")), f"--kubeconfig={cluster.kubeconfig}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@contextmanager
def keda(cluster: Cluster) -> Iterator[None]:
    """While it is entered, KEDA looks after this cluster, and its autoscaler asks KEDA for metrics."""
    where = subprocess.run([SCRIPT, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    kubectl(cluster, "apply", "--server-side", "-f", f"{where}/crds")
    cluster.namespace(NAMESPACE)
    folder = cluster.folder / "keda"
    folder.mkdir()
    certificates = cluster.folder / "certificates"
    for name, file in {"ca.crt": "authority.pem", "tls.crt": "admin.pem", "tls.key": "admin.key"}.items():
        (folder / name).write_bytes((certificates / file).read_bytes())
    asked, answers = free_port(), free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "KUBECONFIG": str(cluster.kubeconfig),
        "WATCH_NAMESPACE": "",
        "POD_NAMESPACE": NAMESPACE,
        "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
    }
    common = ["--kubeconfig", str(cluster.kubeconfig)]
    servers = [
        ServerProcess(
            name="operator",
            argv=[
                *tied_to_us(),
                f"{where}/bin/operator",
                *common,
                "--metrics-bind-address=0",
                "--health-probe-bind-address=0",
                f"--metrics-service-bind-address=127.0.0.1:{asked}",
                f"--cert-dir={folder}",
                "--enable-webhook-patching=false",
                "--enable-apiservice-patching=false",
            ],
            log=folder / "operator.log",
            ready_line="Starting workers",
            cwd=folder,
            env=environ,
        ),
        ServerProcess(
            name="adapter",
            argv=[
                *tied_to_us(),
                f"{where}/bin/adapter",
                *(
                    f"--{each}-kubeconfig={cluster.kubeconfig}"
                    for each in ("authentication", "authorization", "lister")
                ),
                f"--metrics-service-address=127.0.0.1:{asked}",
                "--metrics-service-grpc-authority=localhost",
                "--bind-address=127.0.0.1",
                f"--secure-port={answers}",
                f"--port={free_port()}",
                f"--cert-dir={folder}",
                f"--tls-cert-file={folder / 'tls.crt'}",
                f"--tls-private-key-file={folder / 'tls.key'}",
            ],
            log=folder / "adapter.log",
            ready_line="Serving securely",
            cwd=folder,
            env=environ,
        ),
    ]
    service = {"type": "ExternalName", "externalName": "localhost"}
    cluster.api.post(
        f"/api/v1/namespaces/{NAMESPACE}/services", {"metadata": {"name": "metrics"}, "spec": service}
    )
    try:
        for each in servers:
            each.start(60)
        cluster.api.post(
            "/apis/apiregistration.k8s.io/v1/apiservices",
            {
                "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
                "spec": {
                    "group": "external.metrics.k8s.io",
                    "version": "v1beta1",
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                    "insecureSkipTLSVerify": True,
                    "service": {"namespace": NAMESPACE, "name": "metrics", "port": answers},
                },
            },
        )
        wait_until(
            lambda: cluster.api.ready() and _answers(cluster), 60, "KEDA answers the autoscaler", poll=0.2
        )
        yield
    finally:
        for each in reversed(servers):
            each.kill()


def _answers(cluster: Cluster) -> bool:
    found = cluster.api.get("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io")
    return any(
        each["type"] == "Available" and each["status"] == "True"
        for each in found.get("status", {}).get("conditions", [])
    )
