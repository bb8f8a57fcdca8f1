"""What the escapes are tried from: a tool in the sandbox that this machine has, in a workspace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.repositories import repository
from tests.real import require
from turnout.runtimes.sandbox import Bubblewrap, Exit, SandboxSpec, detect, start

PYTHON = str(Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}").resolve())
Try = Callable[..., tuple[Exit, str]]


@pytest.fixture
def sandbox() -> Bubblewrap:
    found = detect(environ={name: os.environ[name] for name in ("TURNOUT_CGROUP",) if name in os.environ})
    require("bubblewrap, working,", isinstance(found, Bubblewrap), f"make real-parts ({found.describe()})")
    assert isinstance(found, Bubblewrap)
    return found


@pytest.fixture
def networked(sandbox: Bubblewrap) -> Bubblewrap:
    require("slirp4netns, working,", bool(sandbox.network), f"make real-parts ({sandbox.no_network})")
    return sandbox


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def attempt(sandbox: Bubblewrap, workspace: Path) -> Try:
    return tries(sandbox, workspace)


def tries(sandbox: Bubblewrap, workspace: Path) -> Try:
    """Runs a program, or a Python script, as a hostile tool would be; how it ended, and all it said."""

    def run(*argv: str, script: str = "", **asked: object) -> tuple[Exit, str]:
        command = [PYTHON, "-I", "-S", "-c", script, *argv] if script else list(argv)
        spec = replace(SandboxSpec(workspace), **asked)  # type: ignore[arg-type]
        with start(command, spec, sandbox, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as tool:
            assert tool.stdout is not None
            output = tool.stdout.read().decode("utf-8", "replace")
            return tool.wait(60), output

    return run


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository that no test changes, and its commit."""
    path = tmp_path_factory.mktemp("origin")
    return path, repository(path, a_dot_py="a = 1\n")
