"""Which Dockerfile is built."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from agents.build.options import BuildOptions
from agents.sdk.inside import read_inside
from agents.sdk.workspace import AgentError

NAMES = ("Dockerfile", "Containerfile")
LARGEST = 1024 * 1024  # bytes
_LOOKED_THROUGH = 3  # folders deep, for the hint only
_NEVER = frozenset({".git", "node_modules", ".venv", "venv", "vendor"})


def dockerfile(checkout: Path, options: BuildOptions) -> str:
    """Its path from the root of the checkout: the one that is named, else that of the context, else of the root.

    Raises: AgentError when there is none, or it leads out of the checkout.
    """
    _folder(checkout, options.context)
    if options.dockerfile is not None:
        if read_inside(checkout, options.dockerfile, LARGEST) is None:
            raise AgentError(
                f"with.dockerfile: there is no file {options.dockerfile} in the repository", _hint(checkout)
            )
        return options.dockerfile
    for folder in dict.fromkeys((options.context, ".")):
        for name in NAMES:
            path = str(PurePosixPath(folder, name))
            if read_inside(checkout, path, LARGEST) is not None:
                return path
    where = "the root of the repository"
    if options.context != ".":
        where = f"{options.context} nor in {where}"
    raise AgentError(f"there is no Dockerfile in {where}", _hint(checkout))


def _folder(checkout: Path, context: str) -> None:
    root = checkout / context
    if not root.is_dir():
        raise AgentError(f"with.context: there is no folder {context} in the repository")
    if not root.resolve().is_relative_to(checkout.resolve()):
        raise AgentError(
            f"with.context: {context} leads out of the repository", "replace the link by the folder"
        )


def _hint(checkout: Path) -> str:
    found = sorted(_elsewhere(checkout, _LOOKED_THROUGH))
    if not found:
        return "add one, or leave the build stage out of the pipeline file"
    named = ", ".join(str(path.relative_to(checkout)) for path in found[:5])
    return f"name it with with.dockerfile; there is {named}"


def _elsewhere(folder: Path, depth: int) -> list[Path]:
    found: list[Path] = []
    for each in folder.iterdir():
        if each.is_symlink():
            continue
        if each.is_dir():
            if depth and each.name not in _NEVER:
                found += _elsewhere(each, depth - 1)
        elif each.name in NAMES or each.name.lower().endswith(".dockerfile"):
            found.append(each)
    return found
