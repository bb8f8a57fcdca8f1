from __future__ import annotations

from pathlib import Path

import pytest

from agents.lint.discovery import eslint_config, linters, python_sources
from tests.agents.workspace import write

PACKAGE = {"package.json": "{}"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"shop.py": ""}, ["pylint"]),
        ({"shop.py": "", "ruff.toml": ""}, ["ruff"]),
        ({"shop.py": "", "pyproject.toml": "[tool.ruff]\n"}, ["ruff"]),
        ({"shop.py": "", "pyproject.toml": "[tool.ruff]\n[tool.pylint.main]\n"}, ["ruff", "pylint"]),
        ({"shop.py": "", ".ruff.toml": "", ".pylintrc": ""}, ["ruff", "pylint"]),
        ({"shop.py": "", "setup.cfg": "[pylint.master]\n", "ruff.toml": ""}, ["ruff", "pylint"]),
        ({"index.js": "", **PACKAGE}, ["eslint"]),
        ({"src/index.tsx": "", **PACKAGE}, ["eslint"]),
        ({"shop.py": "", "static/site.js": ""}, ["pylint"]),
        ({"shop.py": "", "index.js": "", **PACKAGE}, ["pylint", "eslint"]),
        ({"eslint.config.mjs": ""}, ["eslint"]),
        ({"package.json": '{"devDependencies": {"eslint": "9"}}'}, ["eslint"]),
        ({"node_modules/x/index.js": "", **PACKAGE}, []),
        ({"README": ""}, []),
    ],
)
def test_a_repository_tells_its_linters(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    write(tmp_path, files)
    assert linters(tmp_path) == expected


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"eslint.config.js": "", ".eslintrc": ""}, "flat"),
        ({".eslintrc.yml": ""}, "old"),
        ({"package.json": '{"eslintConfig": {}}'}, "old"),
        ({"package.json": "{}"}, ""),
    ],
)
def test_the_kind_of_eslints_configuration_is_seen(tmp_path: Path, files: dict[str, str], kind: str) -> None:
    write(tmp_path, files)
    assert eslint_config(tmp_path) == kind


def test_packages_and_modules_are_checked_without_tests_and_build_scripts(tmp_path: Path) -> None:
    packages = ["src/shop", "src/shop/deep", "tests", "helper", ".hidden"]
    modules = ["src/tool.py", "setup.py", "docs/conf.py"]
    write(tmp_path, dict.fromkeys([*(f"{each}/__init__.py" for each in packages), *modules], ""))
    assert python_sources(tmp_path) == ["helper", "src/shop", "src/tool.py"]


def test_all_python_is_checked_where_there_is_no_package(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"scripts/one.py": "", "scripts/deep/two.py": "", "venv/pyvenv.cfg": "", "venv/three.py": ""},
    )
    assert python_sources(tmp_path) == ["scripts/deep/two.py", "scripts/one.py"]
