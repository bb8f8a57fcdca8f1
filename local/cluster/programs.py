"""Where the cluster's programs are: the servers, built by local/setup/cluster.sh, and kubectl and Helm."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "setup" / "cluster.sh"
INSTALL = "local/setup/cluster.sh builds it (make real-parts does so too)"
SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
TOOLS = ("kubectl", "helm", "helm3")
"""``helm`` is Helm 4, ``helm3`` is Helm 3."""


@functools.cache
def folder() -> Path:
    """Where they belong, whether or not they are there yet."""
    said = subprocess.run([str(SCRIPT), "--where"], capture_output=True, text=True, check=True)
    return Path(said.stdout.strip()) / "bin"


def program(name: str) -> Path:
    """One of `SERVERS` or `TOOLS`."""
    return folder() / name


def available() -> bool:
    """Whether a cluster can be started here, and spoken to with kubectl and Helm."""
    return all(program(each).exists() for each in SERVERS + TOOLS)
