"""What the build agent's real tests share: a registry on loopback, a base in it, and workspaces with a Git commit."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agents.build.agent import run
from agents.build.builder import GROUPS, missing
from local.registry import server
from local.registry.server import Registry
from tests.agents.workspace import SandboxedWorkspace, sandboxed, task, write
from tests.real import require
from turnout.core.messages import Checkout, TaskRequested
from turnout.core.model import Outcome
from turnout.core.result import Result
from turnout.runtimes.sandbox import detect

COMMITTED = 1_700_000_000
BASE = 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'


def commit(folder: Path, files: Mapping[str, str], committed: int = COMMITTED) -> str:
    """The files as a commit of their own, at a time of our choice; its id."""
    write(folder, files)
    when = f"{committed} +0000"
    env = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when,
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    }  # fmt: skip

    def git(*words: str) -> str:
        argv = ["git", "-c", f"safe.directory={folder}", *words]
        return subprocess.run(
            argv, cwd=folder, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    if not (folder / ".git").exists():
        git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", "x")
    return git("rev-parse", "HEAD")


@dataclass
class Yard:
    """Where images are built: ``base`` is an image in ``registry`` that a Dockerfile can begin with."""

    folder: Path
    registry: Registry
    base: str = ""
    backend: str = "buildah"

    def workspace(
        self,
        name: str,
        files: Mapping[str, str],
        options: Mapping[str, Any] | None = None,
        *,
        secrets: Mapping[str, str] | None = None,
        sha: str = "",
        cache: Path | None = None,
        **fields: Any,
    ) -> tuple[TaskRequested, SandboxedWorkspace]:
        place = self.folder / name
        (place / "checkout").mkdir(parents=True, exist_ok=True)
        sha = sha or commit(place / "checkout", files)
        given = {
            "image": f"{self.registry.address}/{name}",
            "backend": self.backend,
            "sbom": "none",
            **(options or {}),
        }
        checkout = Checkout(
            repository="o/r",
            clone_url="https://github.com/o/r.git",
            sha=sha,
            ref="refs/heads/main",
            branch="main",
        )
        asked = task("build", given, **{"checkout": checkout, **fields})
        kept = cache or self.folder / "cache"
        return asked, sandboxed(place, asked, detect(environ={"TURNOUT_SANDBOX": "auto"}), kept, secrets)

    def build(
        self, name: str, files: Mapping[str, str], options: Mapping[str, Any] | None = None, **more: Any
    ) -> Result:
        return run(*self.workspace(name, files, options, **more))


def app(yard: Yard, steps: str = "") -> dict[str, str]:
    return {
        "Dockerfile": f'FROM {yard.base}\nCOPY hello.sh /hello.sh\n{steps}CMD ["/bin/sh", "/hello.sh"]\n',
        "hello.sh": "echo hello from the image\n",
    }


def leftovers_of(step: str, folder: Path) -> list[str]:
    """Processes, mounts and control groups of a build that are still there. ``step``: words of a step's command."""
    processes = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words.startswith(step) or (words.startswith(("bwrap", "/usr/bin/bwrap")) and str(folder) in words):
            processes.append(words)
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if f"{folder}/" in line]
    groups = [str(each) for each in Path("/sys/fs/cgroup").rglob(f"{GROUPS}*")]
    return processes + mounts + groups


@pytest.fixture(scope="session")
def buildah() -> None:
    require("docker-registry", server.available(), server.INSTALL)
    require("busybox", shutil.which("busybox") is not None, server.INSTALL)
    require("buildah", not (why := missing()), f"make real-parts installs it ({why})")


@pytest.fixture(scope="session")
def yard(tmp_path_factory: pytest.TempPathFactory, buildah: None) -> Iterator[Yard]:
    with Registry() as registry:
        yard = Yard(tmp_path_factory.mktemp("yard"), registry)
        place = yard.folder / "base" / "checkout"
        place.mkdir(parents=True)
        shutil.copy2(shutil.which("busybox") or "", place / "busybox")
        asked, workspace = yard.workspace("base", {"Dockerfile": BASE})
        made = run(asked, workspace)
        assert made.outcome is Outcome.SUCCESS, f"{made.summary}\n{workspace.text}"
        yard.base = made.outputs["image"]
        yield yard
