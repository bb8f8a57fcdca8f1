"""What the agents' real tests share: the sandbox of this machine, and one cache, so that each tool is fetched once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.agents.workspace import SandboxedWorkspace, sandboxed, task, write
from tests.real import require
from turnout.runtimes.sandbox import detect


class Machine:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sandbox = detect(environ={"TURNOUT_SANDBOX": "auto"})

    def workspace(self, name: str, files: dict[str, str], **fields: Any) -> SandboxedWorkspace:
        """An attempt with a checkout of these files, under a name of its own."""
        place = self._folder / name
        workspace = sandboxed(place, task("test", **fields), self._sandbox, cache=self._folder / "cache")
        write(workspace.path, files)
        return workspace


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture
def node() -> None:
    require(
        "Node.js with npm", bool(shutil.which("node") and shutil.which("npm")), "apt-get install nodejs npm"
    )


@pytest.fixture
def bubblewrap() -> None:
    require("bubblewrap", shutil.which("bwrap") is not None, "apt-get install bubblewrap")
