"""The cluster's processes, and what a test does to it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from local.cluster.certificates import Certificates, make_certificates
from local.cluster.kubeconfig import by_certificate, by_token
from local.cluster.nodes import node
from local.cluster.programs import INSTALL, available, program
from local.cluster.requests import STRATEGIC, Api
from local.server_process import POLL, ServerFailed, ServerProcess, free_port
from turnout.core.errors import PermanentError

KUBELET = Path(__file__).parent / "kubelet.yaml"
Behaviour = Literal[
    "run", "succeed", "fail", "oom", "evicted", "crash", "never-ready", "image-pull", "pending"
]
Security = Literal["restricted", "baseline", "privileged"]


class Cluster:
    """``nodes``: how many it has, each with 8 cores and 32 GiB that nothing really uses. Start it from a thread that
    outlives it: the servers die with their starter.
    """

    def __init__(self, *, nodes: int = 2, ready_within: float = 90) -> None:
        self._nodes = nodes
        self._within = ready_within
        self._folder: Path | None = None
        self._servers: dict[str, ServerProcess] = {}
        self._ports: dict[str, int] = {}
        self._certificates: Certificates | None = None
        self._api: Api | None = None

    # --- its life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Return when a pod that is made will run. Raises: PermanentError, ServerFailed with the end of a log."""
        if not available():
            raise PermanentError("Kubernetes' servers are not built", INSTALL)
        deadline = time.monotonic() + self._within
        self._folder = Path(tempfile.mkdtemp(prefix="turnout-cluster-"))
        self._ports = {each: free_port() for each in ("etcd", "peers", "apiserver", "kubelet")}
        self._certificates = made = make_certificates(self._folder / "certificates")
        by_certificate(self.kubeconfig, self.server, made)
        self.pod_log.touch()
        self._api = Api(self.server, made)
        self._servers = {
            name: ServerProcess(
                name=name,
                argv=[*tied_to_us(), str(program(name)), *flags],
                log=self.folder / f"{name}.log",
                ready_line="",  # any: whether it is ready is asked for below
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)},
            )
            for name, flags in self._flags(made).items()
        }
        for each in self._servers.values():
            if each.name == "kube-controller-manager":  # the first one after the API server
                self._wait(self.api.ready, deadline, "the API server takes no requests")
                for number in range(self._nodes):
                    self.api.post("/api/v1/nodes", node(f"node-{number}", self._ports["kubelet"]))
            each.start(self._within)
        self._wait(self._works, deadline, "no pod can be made")

    def _works(self) -> bool:
        """Controllers run (they make every namespace's account), and the nodes take pods."""
        account = self.api.find("/api/v1/namespaces/default/serviceaccounts/default")
        nodes = self.api.get("/api/v1/nodes")["items"]
        roles = self.api.find("/apis/rbac.authorization.k8s.io/v1/clusterroles/edit")
        return bool(
            account
            and roles
            and roles["rules"]
            and len(nodes) == self._nodes
            and all(not each["spec"].get("taints") for each in nodes)
        )

    def _wait(self, done: Callable[[], bool], deadline: float, what: str) -> None:
        while not done():
            for each in self._servers.values():
                if (self.folder / f"{each.name}.log").exists() and not each.running:
                    raise ServerFailed(f"{each.name} ended while starting", self.log_tail(each.name))
            if time.monotonic() > deadline:
                raise ServerFailed(
                    f"{what} after {self._within:.0f} s",
                    "\n".join(self.log_tail(each, 6) for each in self._servers),
                )
            time.sleep(POLL)

    def stop(self) -> None:
        """End all of it, and remove its data."""
        for each in reversed(list(self._servers.values())):
            each.kill()  # nothing is kept that a good end would save
        self._servers = {}
        if self._api is not None:
            self._api.close()
            self._api = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the servers."""
        return tuple(each.pid for each in self._servers.values())

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of what a server said. ``name``: its program's."""
        said = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join([f"the end of {name}'s log:", *said[-lines:]])

    # --- who speaks to it -------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Raises: ServerFailed when it was not started."""
        if self._folder is None:
            raise ServerFailed("the cluster is not running", "call start() first")
        return self._folder

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://127.0.0.1:{self._ports['apiserver']}"

    @property
    def authority(self) -> Path:
        """The certificate that the server's is signed by."""
        return self.folder / "certificates" / "authority.pem"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "kubeconfig"

    @property
    def api(self) -> Api:
        """Plain requests as the administrator."""
        if self._api is None:
            raise ServerFailed("the cluster is not running", "call start() first")
        return self._api

    def kubeconfig_for(
        self, namespace: str, role: str = "edit", *, rules: Sequence[Mapping[str, Any]] = ()
    ) -> Path:
        """Of a new service account of the namespace that has a role in it alone.

        ``role``: a cluster role (``view``, ``edit``, ``admin``); ``rules``, where given, are its rights instead.
        """
        name = f"account-{uuid.uuid4().hex[:8]}"
        self.api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        kind = "ClusterRole"
        if rules:
            kind, role = "Role", name
            self.api.post(f"{rbac}/roles", {"metadata": {"name": name}, "rules": list(rules)})
        self.api.post(
            f"{rbac}/rolebindings",
            {
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            },
        )
        return self.kubeconfig_of(namespace, name)

    def kubeconfig_of(self, namespace: str, account: str) -> Path:
        """Of a service account that is there already, good for a day."""
        token = self.api.post(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
            {"spec": {"expirationSeconds": 86_400}},
        )["status"]["token"]
        path = self.folder / f"kubeconfig-{namespace}-{account}"
        by_token(path, self.server, self.authority, namespace, token)
        return path

    def namespace(self, name: str = "", *, security: Security = "restricted") -> str:
        """A new namespace's name, once pods can be made in it. ``security``: the pod security standard it enforces."""
        name = name or f"test-{uuid.uuid4().hex[:10]}"
        labels = {"pod-security.kubernetes.io/enforce": security}
        self.api.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        self._wait(lambda: self.api.find(account) is not None, time.monotonic() + 30, f"no account in {name}")
        return name

    # --- what happens to pods ---------------------------------------------------------------------------

    @property
    def pod_log(self) -> Path:
        """What every container has written, as container runtimes keep it."""
        return self.folder / "pods.log"

    def say(self, *lines: str) -> None:
        """From now on every container of the cluster has written these lines, and nothing else."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())
        self.pod_log.write_text("".join(f"{stamp} stdout F {each}\n" for each in lines))

    def pods(self, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """``selector``: of labels."""
        found: list[dict[str, Any]] = self.api.get(
            f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}"
        )["items"]
        return found

    def end_pod(self, namespace: str, pod: str, status: int = 0, reason: str = "") -> None:
        """Its containers' processes end with this exit status, as its kubelet would tell."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ended = {
            "exitCode": status,
            "reason": reason or ("Completed" if status == 0 else "Error"),
            "startedAt": now,
            "finishedAt": now,
        }
        containers = [
            {
                "name": each["name"],
                "image": each["image"],
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": ended},
            }
            for each in self.api.get(path)["spec"]["containers"]
        ]
        phase = "Succeeded" if status == 0 else "Failed"
        unready = [{"type": each, "status": "False"} for each in ("Ready", "ContainersReady")]
        self.api.patch(
            f"{path}/status",
            {"status": {"phase": phase, "containerStatuses": containers, "conditions": unready}},
            STRATEGIC,
        )

    def evict(self, namespace: str, pod: str) -> None:
        """As a node that is drained does it."""
        self.api.post(
            f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction",
            {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": pod, "namespace": namespace},
            },
        )

    # --- flags ------------------------------------------------------------------------------------------

    def _flags(self, certificates: Certificates) -> dict[str, list[str]]:
        """In the order in which they are started."""
        c, ports, folder = certificates, self._ports, self.folder
        etcd, peers = (f"https://127.0.0.1:{ports[each]}" for each in ("etcd", "peers"))
        tls = [f"--cert-file={c.server}", f"--key-file={c.server_key}", f"--trusted-ca-file={c.authority}"]
        config = folder / "kwok.yaml"
        config.write_text(f"{KUBELET.read_text()}---\n{json.dumps(self._logs())}\n")
        return {
            "etcd": [
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls={peers}",
                f"--initial-advertise-peer-urls={peers}",
                f"--initial-cluster=default={peers}",
                *tls,
                "--client-cert-auth",
                *(each.replace("--", "--peer-", 1) for each in tls),
                "--peer-client-cert-auth",
                "--unsafe-no-fsync",
            ],
            "kube-apiserver": [
                f"--etcd-servers={etcd}",
                f"--etcd-cafile={c.authority}",
                f"--etcd-certfile={c.admin}",
                f"--etcd-keyfile={c.admin_key}",
                "--bind-address=127.0.0.1",
                f"--secure-port={ports['apiserver']}",
                f"--tls-cert-file={c.server}",
                f"--tls-private-key-file={c.server_key}",
                f"--client-ca-file={c.authority}",
                f"--kubelet-client-certificate={c.admin}",
                f"--kubelet-client-key={c.admin_key}",
                "--kubelet-preferred-address-types=InternalIP",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={c.account_key}",
                f"--service-account-signing-key-file={c.account_key}",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--authorization-mode=Node,RBAC",
                "--endpoint-reconciler-type=none",  # no pod is ever to reach it by its address
                # other servers may answer for it (APIService): it shows them who asks
                f"--requestheader-client-ca-file={c.authority}",
                "--requestheader-allowed-names=admin",
                "--requestheader-username-headers=X-Remote-User",
                "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                f"--proxy-client-cert-file={c.admin}",
                f"--proxy-client-key-file={c.admin_key}",
                "--anonymous-auth=false",
                "--profiling=false",
            ],
            "kube-controller-manager": [
                f"--kubeconfig={self.kubeconfig}",
                f"--service-account-private-key-file={c.account_key}",
                f"--root-ca-file={c.authority}",
                "--leader-elect=false",
                "--secure-port=0",
                "--profiling=false",
            ],
            "kube-scheduler": [
                f"--kubeconfig={self.kubeconfig}",
                "--leader-elect=false",
                "--secure-port=0",
                "--profiling=false",
            ],
            "kwok": [
                f"--kubeconfig={self.kubeconfig}",
                f"--config={config}",
                "--manage-all-nodes",
                "--node-ip=127.0.0.1",
                f"--node-port={ports['kubelet']}",
                f"--server-address=127.0.0.1:{ports['kubelet']}",
                f"--tls-cert-file={c.server}",
                f"--tls-private-key-file={c.server_key}",
                "--node-lease-duration-seconds=40",
            ],
        }

    def _logs(self) -> dict[str, Any]:
        return {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterLogs",
            "metadata": {"name": "logs"},
            "spec": {"logs": [{"logsFile": str(self.pod_log), "follow": False}]},
        }


def tied_to_us() -> list[str]:
    """What makes the kernel end a server when its starter is gone, also by SIGKILL."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
