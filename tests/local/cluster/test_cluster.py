"""The local cluster: pods run, rights hold, images say how their pods behave, and nothing stays behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.cluster import INSTALL, Cluster, available, program
from local.cluster.programs import SERVERS
from local.server_process import ServerFailed
from tests.real import require
from tests.waiting import wait_until
from turnout.core.errors import PermanentError

PATIENCE = 30.0
ROOT = Path(__file__).parents[3]

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.namespace(security="baseline")


@pytest.fixture
def kubectl(cluster: Cluster, namespace: str) -> Kubectl:
    def run(*words: str, kubeconfig: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
        argv = [str(program("kubectl")), f"--kubeconfig={kubeconfig or cluster.kubeconfig}", "-n", namespace]
        return subprocess.run([*argv, *words], input=stdin, capture_output=True, text=True, timeout=60)

    return run


def pod(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.api.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
    return found


def test_a_deployment_becomes_available_and_a_bad_image_is_a_rollout_that_fails(kubectl: Kubectl) -> None:
    assert kubectl("create", "deployment", "web", "--image=shop:1", "--replicas=2").returncode == 0
    assert "successfully rolled out" in kubectl("rollout", "status", "deploy/web", "--timeout=30s").stdout
    kubectl("set", "image", "deploy/web", "shop=behave.test/never-ready:2")
    assert kubectl("rollout", "status", "deploy/web", "--timeout=1s").returncode != 0
    kubectl("rollout", "undo", "deploy/web")
    assert kubectl("rollout", "status", "deploy/web", "--timeout=30s").returncode == 0


@pytest.mark.parametrize(
    ("behaviour", "phase", "told"),
    [
        ("succeed", "Succeeded", {"exitCode": 0, "reason": "Completed"}),
        ("fail", "Failed", {"exitCode": 1, "reason": "Error"}),
        ("oom", "Failed", {"exitCode": 137, "reason": "OOMKilled"}),
        ("crash", "Failed", {"exitCode": 1}),
        ("image-pull", "Pending", {"reason": "ImagePullBackOff"}),
        ("pending", "Pending", {"reason": "ContainerCreating"}),
    ],
)
def test_an_image_says_how_its_pod_behaves(
    cluster: Cluster, namespace: str, kubectl: Kubectl, behaviour: str, phase: str, told: dict[str, object]
) -> None:
    kubectl("run", "it", f"--image=behave.test/{behaviour}:1", "--restart=Never")

    def status() -> bool:
        found = pod(cluster, namespace, "it")["status"]
        states = [each["state"] for each in found.get("containerStatuses", ())]
        return (
            bool(states)
            and found["phase"] == phase
            and told.items() <= next(iter(states[0].values())).items()
        )

    wait_until(status, PATIENCE, f"the pod is {phase}")


def test_a_pod_for_lack_of_memory_is_evicted_as_a_disruption(
    cluster: Cluster, namespace: str, kubectl: Kubectl
) -> None:
    kubectl("run", "it", "--image=shop:1", "--annotations=behave.test/as=evicted", "--restart=Never")
    wait_until(
        lambda: pod(cluster, namespace, "it")["status"].get("reason") == "Evicted", PATIENCE, "it is evicted"
    )
    conditions = {
        each["type"]: each["status"] for each in pod(cluster, namespace, "it")["status"]["conditions"]
    }
    assert conditions["DisruptionTarget"] == "True"


def test_a_test_can_end_a_pod_evict_one_and_say_what_it_wrote(
    cluster: Cluster, namespace: str, kubectl: Kubectl
) -> None:
    for each in ("ends", "leaves"):
        kubectl("run", each, "--image=shop:1", "--restart=Never")
        assert kubectl("wait", "--for=condition=Ready", f"pod/{each}", "--timeout=30s").returncode == 0
    cluster.say("one", "two")
    assert kubectl("logs", "ends").stdout == "one\ntwo\n"
    cluster.end_pod(namespace, "ends", 7)
    ended = pod(cluster, namespace, "ends")["status"]
    assert ended["phase"] == "Failed"
    assert ended["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7
    cluster.evict(namespace, "leaves")
    wait_until(
        lambda: [each["metadata"]["name"] for each in cluster.pods(namespace)] == ["ends"],
        PATIENCE,
        "it is gone",
    )


def test_an_account_has_its_rights_in_its_namespace_and_no_others(
    cluster: Cluster, namespace: str, kubectl: Kubectl
) -> None:
    viewer = cluster.kubeconfig_for(namespace, "view")
    maker = cluster.kubeconfig_for(
        namespace, rules=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}]
    )
    assert kubectl("get", "pods", kubeconfig=viewer).returncode == 0
    assert "forbidden" in kubectl("create", "configmap", "a", kubeconfig=viewer).stderr
    assert "forbidden" in kubectl("get", "pods", "-n", "default", kubeconfig=viewer).stderr
    assert kubectl("create", "configmap", "a", kubeconfig=maker).returncode == 0
    assert "forbidden" in kubectl("get", "configmap", "a", kubeconfig=maker).stderr


def test_a_namespace_enforces_its_pod_security(cluster: Cluster, kubectl: Kubectl) -> None:
    strict = cluster.namespace()
    said = kubectl("run", "it", "--image=shop:1", "-n", strict)
    assert "violates PodSecurity" in said.stderr


def test_both_helms_and_kubectl_say_which_they_are(kubectl: Kubectl) -> None:
    versions = json.loads(kubectl("version", "-o", "json").stdout)
    assert versions["serverVersion"]["gitVersion"].startswith("v1.36.")
    for name, version in (("helm", "v4."), ("helm3", "v3.")):
        said = subprocess.run([str(program(name)), "version", "--short"], capture_output=True, text=True)
        assert said.stdout.startswith(version)


@pytest.mark.real
def test_a_cluster_that_is_stopped_leaves_neither_processes_nor_data() -> None:
    require("a Kubernetes cluster", available(), INSTALL)
    with Cluster(nodes=1) as own:
        pids, folder = own.pids, own.folder
        assert len(pids) == len(SERVERS)
    assert not folder.exists()
    assert not [each for each in pids if Path(f"/proc/{each}").exists()]


@pytest.mark.real
def test_the_servers_die_with_a_starter_that_is_killed() -> None:
    require("a Kubernetes cluster", available(), INSTALL)
    require("setpriv", shutil.which("setpriv") is not None, "Debian's util-linux has it")
    program = (
        "import os, signal; from local.cluster import Cluster; own = Cluster(nodes=1); own.start();"
        "print(own.folder, *own.pids, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, cwd=ROOT
    )
    folder, *pids = done.stdout.split()
    try:
        assert len(pids) == len(SERVERS), done.stderr
        wait_until(lambda: not any(alive(each) for each in pids), PATIENCE, "they are gone")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.real
def test_a_server_that_cannot_start_is_told_with_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    require("a Kubernetes cluster", available(), INSTALL)
    monkeypatch.setattr("local.cluster.cluster.free_port", lambda: 1)  # all of them on one port
    own = Cluster(nodes=1, ready_within=30)
    with pytest.raises(ServerFailed, match=r"the end of .* log"):
        own.__enter__()


def test_without_its_programs_it_says_what_builds_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("local.cluster.programs.folder", lambda: tmp_path)
    with pytest.raises(PermanentError, match=r"cluster\.sh"):
        Cluster().start()
