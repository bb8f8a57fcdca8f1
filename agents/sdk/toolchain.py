"""What every toolchain here shares: where programs are looked for, and how reports of tools are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.sdk.inside import read_inside
from agents.sdk.local_workspace import tool_path
from agents.sdk.workspace import AgentError, Workspace
from turnout.runtimes.sandbox_files import remove_tree


def path_with(*folders: Path) -> str:
    """A ``PATH`` with these folders before those that tools have anyway."""
    return ":".join([*map(str, folders), tool_path()])


def open_folder(path: Path) -> Path:
    """An empty folder that tools may write to, whichever user they run as."""
    remove_tree(path)
    path.mkdir(parents=True)
    path.chmod(0o777)  # what is above it, is open to nobody else
    return path


def put(path: Path, content: str, mode: int = 0o644) -> Path:
    """Write a file where tools may have written before: whatever is there is replaced, a link is not followed."""
    path.unlink(missing_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(content)
    path.chmod(mode)
    return path


def project_root(workspace: Workspace, folder: str) -> Path:
    """``with.working_directory`` as a path. Raises: AgentError when it is not there, or leads out of the checkout."""
    root = workspace.path / folder
    if not root.is_dir():
        raise AgentError(f"with.working_directory: there is no folder {folder} in the repository")
    if not root.resolve().is_relative_to(workspace.path.resolve()):
        raise AgentError(
            f"with.working_directory: {folder} leads out of the repository", "replace the link by the folder"
        )
    return root


def read_json(folder: Path, name: str) -> Any:
    """A report that a tool has left; None where there is none that is JSON. Never a file outside ``folder``."""
    content = read_inside(folder, name)
    if content is None:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return None


def read_json_lines(folder: Path, name: str) -> Iterator[dict[str, Any]] | None:
    """One object a line; a last one that a crash cut short is left out. None: there is no file."""
    content = read_inside(folder, name)
    return None if content is None else _objects(content)


def _objects(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.decode("utf-8", errors="replace").split("\n"):
        try:
            value = json.loads(line)
        except ValueError:
            return
        if isinstance(value, dict):
            yield value
