"""A project's Python without an installation: the one that these tests run on, where pytest and Ruff are."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.sdk.python_env import PythonEnv
from agents.test import pytest_runner


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def here(*_: Any, **__: Any) -> Iterator[PythonEnv]:
        site = Path(sysconfig.get_paths()["purelib"])
        quick = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p pytest_cov"}
        yield PythonEnv(sys.executable, "3.11", (site,), {"PYTHONDONTWRITEBYTECODE": "1", **quick})

    monkeypatch.setattr(pytest_runner, "python_env", here)
