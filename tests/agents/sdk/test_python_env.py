"""Dependencies really come from the package index here, and tools really run in the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.sdk.python_env import python_env
from agents.sdk.python_project import read_python_project
from agents.sdk.workspace import AgentError, Workspace
from tests.agents.real_parts import Machine

pytestmark = [pytest.mark.real, pytest.mark.timeout(600), pytest.mark.usefixtures("bubblewrap")]

PYPROJECT = """
[build-system]
requires = ["{requires}"]
build-backend = "{backend}"
[project]
name = "turnout-probe"
version = "1.2.3"
description = "A probe"
dependencies = ["iniconfig==2.0.0"]
[project.scripts]
turnout-probe = "turnout_probe:main"
"""
PACKAGE = """
import importlib.metadata
import iniconfig

def main():
    print(importlib.metadata.version("turnout-probe"), __file__)
"""
BACKENDS = {
    "flit_core.buildapi": "flit_core<4",
    "setuptools.build_meta": "setuptools>=77",
    "hatchling.build": "hatchling",
}


def probe(backend: str, place: str = "src/turnout_probe/__init__.py") -> dict[str, str]:
    return {"pyproject.toml": PYPROJECT.format(backend=backend, requires=BACKENDS[backend]), place: PACKAGE}


def say(workspace: Workspace, code: str = "import turnout_probe; turnout_probe.main()") -> str:
    project = read_python_project(workspace.path, "test")
    with python_env(workspace, project, cwd=".", tools={}) as python:
        ran = workspace.run([python.python, "-c", code], env=python.env, capture=True)
        command = workspace.run(["turnout-probe"], env=python.env, capture=True)
    assert ran.ok
    assert command.stdout == ran.stdout
    return ran.stdout.decode()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_project_is_imported_from_the_checkout_of_its_own_attempt(machine: Machine, backend: str) -> None:
    for number in (1, 2):
        workspace = machine.workspace(f"{backend}-{number}", probe(backend))
        version, file = say(workspace).split()
        assert version == "1.2.3"
        assert Path(file).is_relative_to(workspace.path.resolve())
        assert ("Installing dependencies" in workspace.text) is (number == 1), (
            "the second finds them in the cache"
        )


def test_a_flat_project_is_found_too_and_its_old_release_is_not(machine: Machine) -> None:
    workspace = machine.workspace("flat", probe("setuptools.build_meta", "turnout_probe/__init__.py"))
    assert str(workspace.path.resolve()) in say(workspace)


def test_dependencies_cannot_be_changed_by_the_tools(machine: Machine) -> None:
    workspace = machine.workspace("poison", probe("flit_core.buildapi"))
    project = read_python_project(workspace.path, "test")
    with python_env(workspace, project, cwd=".", tools={}) as python:
        code = "import iniconfig; open(iniconfig.__file__, 'a').write('raise SystemExit(9)')"
        ran = workspace.run([python.python, "-c", code], env=python.env)
        assert not ran.ok
        assert "Read-only file system" in workspace.text or "Permission denied" in workspace.text


def test_requirements_that_cannot_be_installed_are_an_error_that_says_so(machine: Machine) -> None:
    workspace = machine.workspace("impossible", {"requirements.txt": "iniconfig==0.0.0.0.1\n"})
    with (
        pytest.raises(AgentError, match=r"the installer could not install requirements\.txt"),
        python_env(workspace, read_python_project(workspace.path, "test"), cwd=".", tools={}),
    ):
        pass


def test_a_build_backend_that_fails_is_an_error_that_names_it(machine: Machine) -> None:
    setup = (
        "import sys, setuptools\nif 'editable_wheel' in sys.argv: raise OSError('no')\nsetuptools.setup()\n"
    )
    workspace = machine.workspace("broken", probe("setuptools.build_meta") | {"setup.py": setup})
    with (
        pytest.raises(AgentError, match=r"build backend setuptools\.build_meta failed"),
        python_env(workspace, read_python_project(workspace.path, "test"), cwd=".", tools={}),
    ):
        pass
