"""Which linters a repository asks for, and what there is to check."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agents.sdk.package_json import read_package_json
from agents.sdk.python_project import read_ini, read_toml
from agents.sdk.toolchain import written_by

_SKIPPED = {"node_modules", "build", "dist", "venv", "__pycache__", "vendor", "third_party"}
_NOT_SOURCES = {"tests", "test", "testing", "docs", "doc", "examples", "example", "benchmarks", "bench"}
_JAVASCRIPT = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".mts", ".cts")
ESLINT_FLAT = tuple(f"eslint.config.{ending}" for ending in ("js", "mjs", "cjs", "ts", "mts", "cts"))
ESLINT_OLD = (".eslintrc", *(f".eslintrc.{ending}" for ending in ("js", "cjs", "yaml", "yml", "json")))


@written_by("the project's configuration")
def linters(root: Path) -> list[str]:
    """Ruff where it is configured; Pylint where it is, and for Python that nothing else checks; ESLint for a project
    with a package.json and something to check.
    """
    found = []
    if ruff_configured(root):
        found.append("ruff")
    if pylint_configured(root) or (not found and any(True for _ in files(root, (".py",)))):
        found.append("pylint")
    package = read_package_json(root)
    if eslint_config(root) or (
        package and ("eslint" in package.wants or any(True for _ in files(root, _JAVASCRIPT)))
    ):
        found.append("eslint")
    return found


def ruff_configured(root: Path) -> bool:
    return (
        (root / "ruff.toml").exists()
        or (root / ".ruff.toml").exists()
        or "ruff" in read_toml(root / "pyproject.toml").get("tool", {})
    )


def pylint_configured(root: Path) -> bool:
    names = ("pylintrc", ".pylintrc", "pylintrc.toml", ".pylintrc.toml")
    if any((root / name).exists() for name in names):
        return True
    if "pylint" in read_toml(root / "pyproject.toml").get("tool", {}):
        return True
    sections = (section for name in ("setup.cfg", "tox.ini") for section in read_ini(root / name).sections())
    return any(section.lower().startswith("pylint") for section in sections)


def eslint_config(root: Path) -> str:
    """``flat``, ``old`` (``.eslintrc`` and the like) or empty: none."""
    if any((root / name).exists() for name in ESLINT_FLAT):
        return "flat"
    package = read_package_json(root)
    if any((root / name).exists() for name in ESLINT_OLD) or (package and package.has("eslintConfig")):
        return "old"
    return ""


def python_sources(root: Path) -> list[str]:
    """Packages and modules of a project, without tests, documentation and build scripts; all that is Python where
    nothing is left then. Paths from the root, sorted.
    """
    source = root / "src"
    base = source if source.is_dir() and not (source / "__init__.py").exists() else root
    found = {path.parent for path in base.glob("*/__init__.py")} | set(base.glob("*.py"))
    if base != root:
        found |= {path.parent for path in root.glob("*/__init__.py")}
    named = sorted(
        path.relative_to(root).as_posix()
        for path in found
        if path.name not in _NOT_SOURCES | {"setup.py", "conftest.py", "noxfile.py"} and path.name[0] != "."
    )
    return named or sorted(path.relative_to(root).as_posix() for path in files(root, (".py",)))


def files(root: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Files of these endings, without what is hidden, installed or built."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and name[0] != ".")
        if (Path(folder) / "pyvenv.cfg").exists():
            folders.clear()
            continue
        for name in sorted(names):
            if name.endswith(endings):
                yield Path(folder) / name
