"""Whether a repository names dependencies that no scanner has read: then "nothing found" would be no answer."""

from __future__ import annotations

import tomllib
from collections.abc import Set
from pathlib import Path
from typing import Any

from agents.sdk.inside import read_inside
from agents.sdk.package_json import read_package_json

# What Trivy calls the kinds of dependency files. Source: Trivy, pkg/fanal/types/const.go.
_PYTHON = frozenset({"pip", "pipenv", "poetry", "uv", "pylock", "python-pkg", "conda-environment"})
_JAVASCRIPT = frozenset({"npm", "yarn", "pnpm", "bun", "node-pkg"})


def unread(root: Path, ecosystems: Set[str]) -> str:
    """The file that names dependencies which are in none of the files read; empty: there is none.

    Raises: AgentError for a ``package.json`` that is none.
    """
    if not _PYTHON & ecosystems and _python(root):
        return "pyproject.toml"
    package = read_package_json(root)
    if not _JAVASCRIPT & ecosystems and package is not None and package.content.get("dependencies"):
        return "package.json"
    return ""


def _python(root: Path) -> bool:
    try:
        content: dict[str, Any] = tomllib.loads((read_inside(root, "pyproject.toml") or b"").decode())
    except ValueError:
        return False  # the tools that need it say so
    project, poetry = content.get("project"), content.get("tool", {})
    poetry = poetry.get("poetry") if isinstance(poetry, dict) else None
    named = project.get("dependencies") if isinstance(project, dict) else None
    old = poetry.get("dependencies") if isinstance(poetry, dict) else None
    return bool(named) or (isinstance(old, dict) and bool(old.keys() - {"python"}))
