"""What a linter is asked."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

from agents.lint.options import LintOptions


@dataclass(frozen=True, slots=True)
class Asked:
    """``root``: the project's folder in the checkout."""

    root: Path
    options: LintOptions

    @property
    def cwd(self) -> str:
        return self.options.working_directory

    def pip(self) -> tuple[str, ...]:
        return tuple(each for each in self.options.install if not each.startswith("npm:"))

    def npm(self) -> tuple[str, ...]:
        return tuple(each.removeprefix("npm:") for each in self.options.install if each.startswith("npm:"))


def place(cwd: str, path: str) -> str:
    """A tool's path, relative to its folder, as one from the root of the repository."""
    return posixpath.normpath(posixpath.join(cwd, path.replace("\\", "/"))) if path else ""


def inside(root: Path, cwd: str, path: str) -> str:
    """An absolute path of a tool as one from the root of the repository, where it is in it."""
    for base in (root, root.resolve()):
        if Path(path).is_relative_to(base):
            return place(cwd, Path(path).relative_to(base).as_posix())
    return path
