from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agents.sdk.interpreter import Interpreter, find_node, find_python
from agents.sdk.python_project import PythonProject
from agents.sdk.workspace import AgentError
from tests.agents.workspace import PlainWorkspace, write

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Machine(PlainWorkspace):
    """A machine with the programs given, each a script that answers as that version would."""

    def __init__(self, folder: Path, programs: dict[str, str]) -> None:
        super().__init__(folder)
        self.programs = folder / "programs"
        for name, version in programs.items():
            write(self.programs, {name: f"#!/bin/sh\nprintf '%s\\n%s\\nfull\\n' \"$0\" {version}\n"})
            (self.programs / name).chmod(0o755)

    def which(self, program: str) -> str | None:
        path = self.programs / program  # an absolute path stays itself
        return str(path) if path.exists() else None


def project(root: Path, **fields: str) -> PythonProject:
    return PythonProject(root, **fields)  # type: ignore[arg-type]


def test_the_python_of_a_matrix_cell_is_found_by_its_version(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"python3": "3.11.7", "python3.97": "3.97.1"})
    assert find_python(machine, project(machine.path), "3.97").version == "3.97.1"


def test_a_python_that_is_not_installed_is_an_error_that_says_what_to_install(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"python3": "3.11.7"})
    with pytest.raises(AgentError, match=r"Python 3\.98 is not installed.*install python3\.98"):
        find_python(machine, project(machine.path), "3.98")


def test_a_program_that_answers_with_another_version_is_not_taken(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"python3.97": "3.11.7"})
    with pytest.raises(AgentError, match="not installed"):
        find_python(machine, project(machine.path), "3.97")


def test_the_machines_own_python_serves_where_nothing_is_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"python3": "3.11.7"})
    assert find_python(machine, project(machine.path), "").path == str(machine.programs / "python3")


def test_requires_python_passes_over_a_python_that_is_too_old(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"python3": "3.6.1"})
    found = find_python(machine, project(machine.path, requires_python=">=3.9"), "")
    assert found.numbers >= (3, 9)


def test_no_python_that_fits_is_an_error_with_those_that_are_there(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"python3": "3.6.1"})
    with pytest.raises(AgentError, match=r"no Python >=9 found.*3\.6\.1"):
        find_python(machine, project(machine.path, requires_python=">=9"), "")


def test_python_version_of_a_file_is_a_wish_only(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"python3": "3.11.7"})
    assert find_python(machine, project(machine.path, wanted_python="3.99"), "").version == "3.11.7"
    assert "asks for 3.99" in machine.text


def test_node_of_a_matrix_cell_is_needed_and_that_of_nvmrc_a_wish(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"node": "20.20.2", "node96": "96.1.0"})
    write(machine.path, {".nvmrc": "v97\n"})
    assert find_node(machine, machine.path, "96").version == "96.1.0"
    assert find_node(machine, machine.path, "").version == "20.20.2"
    assert "asks for Node.js v97" in machine.text
    with pytest.raises(AgentError, match=r"Node\.js 18 is not installed"):
        find_node(machine, machine.path, "18")


def test_no_node_at_all_is_an_error_that_says_what_to_install(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {})
    with pytest.raises(AgentError, match=r"install Node\.js"):
        find_node(machine, machine.path, "")


def test_a_version_matches_by_its_parts_not_by_its_letters() -> None:
    assert Interpreter("x", "3.12.1").matches("3.12")
    assert not Interpreter("x", "3.12.1").matches("3.1")
    assert Interpreter("x", "20.20.2").matches("v20")
