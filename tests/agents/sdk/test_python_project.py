from __future__ import annotations

from pathlib import Path

import pytest

from agents.sdk.python_project import BuildSystem, read_python_project, satisfies
from agents.sdk.workspace import AgentError
from tests.agents.workspace import write


def test_a_package_is_installed_with_the_extras_that_its_tests_want(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "shop"
requires-python = ">=3.10"
dependencies = ["attrs"]
[project.optional-dependencies]
test = ["pytest"]
dev = ["black"]
docs = ["sphinx"]
"""})  # fmt: skip
    project = read_python_project(tmp_path, "test")
    assert project.build == BuildSystem("hatchling.build", ("hatchling",))
    assert project.extras == ("test",)
    assert project.requirements == ()
    assert (project.name, project.requires_python) == ("shop", ">=3.10")
    assert read_python_project(tmp_path, "lint").extras == ("dev",)


def test_an_application_without_a_build_system_is_not_installed_but_what_it_needs_is(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": """
[project]
name = "app"
dependencies = ["flask"]
[project.optional-dependencies]
dev = ["pytest"]
"""})  # fmt: skip
    project = read_python_project(tmp_path, "test")
    assert project.build is None
    assert project.requirements == ("flask", "pytest")


def test_dependency_groups_are_read_with_those_they_include(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": """
[dependency-groups]
test = ["pytest", {include-group = "Cov_Tools"}]
cov-tools = ["coverage"]
docs = ["sphinx"]
"""})  # fmt: skip
    assert read_python_project(tmp_path, "test").requirements == ("pytest", "coverage")


@pytest.mark.parametrize("included", ["missing", "test"])
def test_a_group_that_includes_one_that_is_missing_or_itself_is_an_error(
    tmp_path: Path, included: str
) -> None:
    write(tmp_path, {"pyproject.toml": f'[dependency-groups]\ntest = [{{include-group = "{included}"}}]\n'})
    with pytest.raises(AgentError, match="dependency-groups"):
        read_python_project(tmp_path, "test")


def test_requirement_files_for_tests_are_found_beside_the_main_one(tmp_path: Path) -> None:
    write(tmp_path, {
        "requirements.txt": "flask\n",
        "requirements/tests.txt": "-r shared.txt\npytest\n",
        "requirements/shared.txt": "attrs\n",
        "requirements-dev.txt": "black\n",
    })  # fmt: skip
    project = read_python_project(tmp_path, "test")
    assert project.files == ("requirements.txt", "requirements/tests.txt")
    assert project.watched == ("requirements.txt", "requirements/tests.txt", "requirements/shared.txt")


def test_poetrys_groups_become_requirements_held_to_its_lock(tmp_path: Path) -> None:
    write(tmp_path, {
        "pyproject.toml": """
[tool.poetry]
name = "app"
package-mode = false
[tool.poetry.dependencies]
python = "^3.11"
flask = "^3.0.1"
zero = "^0.3"
[tool.poetry.group.test.dependencies]
pytest = "~8.2"
moto = {version = "*", extras = ["s3"], markers = "python_version >= '3.9'"}
fork = {git = "somewhere"}
""",
        "poetry.lock": '[[package]]\nname = "flask"\nversion = "3.0.3"\n',
    })  # fmt: skip
    project = read_python_project(tmp_path, "test")
    assert project.requirements == (
        "pytest>=8.2,<8.3",
        "moto[s3]; python_version >= '3.9'",
        "flask>=3.0.1,<4",
        "zero>=0.3,<0.4",
    )
    assert project.constraints == ("flask==3.0.3",)


def test_uvs_lock_gives_versions_of_what_comes_from_an_index_and_is_there_once(tmp_path: Path) -> None:
    write(tmp_path, {"uv.lock": """
version = 1
[[package]]
name = "attrs"
version = "25.1.0"
source = { registry = "index" }
[[package]]
name = "app"
version = "0.1"
source = { editable = "." }
[[package]]
name = "numpy"
version = "1.26"
source = { registry = "index" }
[[package]]
name = "numpy"
version = "2.2"
source = { registry = "index" }
"""})  # fmt: skip
    assert read_python_project(tmp_path, "test").constraints == ("attrs==25.1.0",)


def test_a_setup_py_alone_is_built_the_old_way(tmp_path: Path) -> None:
    write(tmp_path, {"setup.py": "", "setup.cfg": "[options.extras_require]\ntesting =\n  pytest\n"})
    project = read_python_project(tmp_path, "test")
    assert project.build is not None
    assert project.build.backend == "setuptools.build_meta:__legacy__"
    assert project.extras == ("testing",)


def test_a_broken_pyproject_is_an_error_that_names_it(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "[project\n"})
    with pytest.raises(AgentError, match=r"pyproject\.toml cannot be read"):
        read_python_project(tmp_path, "test")


@pytest.mark.parametrize(
    ("specifier", "fits"),
    [
        ("", True), (">=3.8", True), (">=3.12", False), ("<3.12,>=3.9", True), ("<3.11", False), ("~=3.10", True),
        ("~=3.10.1", False), ("==3.11.*", True), ("!=3.11.*", False), (">3.11", False), ("<=3.11", True),
        ("what?", True),
    ],
)  # fmt: skip
def test_requires_python_is_understood(specifier: str, fits: bool) -> None:
    assert satisfies((3, 11, 7), specifier) is fits
