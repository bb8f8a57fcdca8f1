"""What every toolchain here shares: where programs are looked for, and how reports of tools are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from agents.sdk.inside import read_inside
from agents.sdk.local_workspace import tool_path
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.strict_json import read_json as read_strictly
from turnout.runtimes.sandbox_files import remove_tree

_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")

_HALF_PAIR = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_WRONG_SHAPE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


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


def written_by(who: str) -> Callable[[Callable[_Given, _Found]], Callable[_Given, _Found]]:
    """For a function that reads what others wrote, in whatever shape: where it fails, that is no defect of ours.

    ``who``: what it reads, for people. Raises: AgentError from then on.
    """

    def decorate(read: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
        @wraps(read)
        def reading(*args: _Given.args, **kwargs: _Given.kwargs) -> _Found:
            try:
                return read(*args, **kwargs)
            except _WRONG_SHAPE as error:
                said = f"{type(error).__name__}: {error}".split("\n", 1)[0][:200]
                raise AgentError(f"{who} cannot be read ({said})", "see the log for its words") from error

        return reading

    return decorate


def read_json(folder: Path, name: str) -> Any:
    """A report that a tool has left; None where there is none that is JSON. Never a file outside ``folder``."""
    content = read_inside(folder, name)
    if content is None:
        return None
    try:
        return _parsed(content)
    except ValueError:
        return None


def read_json_lines(folder: Path, name: str) -> Iterator[dict[str, Any]] | None:
    """One object a line; a last one that a crash cut short is left out. None: there is no file."""
    content = read_inside(folder, name)
    return None if content is None else _objects(content)


def _objects(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.split(b"\n"):
        try:
            value = _parsed(line)
        except ValueError:
            return
        if isinstance(value, dict):
            yield value


def _parsed(content: bytes) -> Any:
    """JSON, strictly first; with what tools get wrong in good faith (half surrogate pairs, bad UTF-8) put right.

    Raises: ValueError.
    """
    try:
        return read_strictly(content)
    except ValueError:
        text = content.decode("utf-8", "replace").removeprefix("\ufeff")
        return read_strictly(_HALF_PAIR.sub(lambda found: found[1] or "\\ufffd", text).encode())
