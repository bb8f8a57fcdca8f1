"""Makes ``build/functions/<function>.zip``: ``python -m local.package.build``.

A zip holds what Cloud Functions asks for: ``main.py`` at its root, what that imports, ``requirements.txt``. The same
files make the same bytes: sorted, with one time for all, stored as they are (compressors differ).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from local.images.turnout.metadata import metadata
from local.package.closure import Closure, Code, closure
from local.package.distributions import Locked, needed, owners, read_lock
from turnout.core.errors import PermanentError
from turnout.stack.layout import CONSOLE, FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
INTO = ROOT / "build" / "functions"
ALL = (*FUNCTIONS, CONSOLE)
_WHEN = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say


@dataclass(frozen=True)
class Package:
    """``files``: path in the zip to content."""

    function: str
    closure: Closure
    distributions: tuple[str, ...]
    files: Mapping[str, bytes]

    @cached_property
    def zipped(self) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
            for path, content in sorted(self.files.items()):
                entry = zipfile.ZipInfo(path, _WHEN)
                entry.create_system = 3  # Unix, wherever it is made
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, content)
        return made.getvalue()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.zipped).hexdigest()


class Packages:
    """Of the files of ``root`` that git knows, as they are now. ``projects``: what stands in the folder ``projects`` of
    each package, by file name."""

    def __init__(self, root: Path = ROOT, projects: Mapping[str, bytes] | None = None) -> None:
        listed = subprocess.run(
            ["git", "-C", root, "ls-files", "-z"], capture_output=True, text=True, check=True
        )
        self._root = root
        self._code = Code(root, frozenset(each for each in listed.stdout.split("\0") if each))
        self._projects = projects or {}

    def of(self, function: str) -> Package:
        """Raises: PermanentError for an import of nobody's."""
        main = f"functions.{function}.main"
        found = closure(self._code, main)
        needs = needed(found.others, self.lock, self._owners)
        modules = found.modules - {main}
        if not any(each.startswith(f"functions.{function}.") for each in modules):
            modules -= {"functions", f"functions.{function}"}
        files = {path: self._read(path) for path in self._paths(modules)}
        files["main.py"] = self._read(self._code.modules[main])
        files["requirements.txt"] = "".join(self.lock[each].text for each in needs).encode()
        name, said = metadata(self._root / "pyproject.toml")
        files[name] = said.encode()
        files |= {f"projects/{name}": content for name, content in self._projects.items()}
        return Package(function, found, tuple(needs), files)

    @cached_property
    def lock(self) -> dict[str, Locked]:
        return read_lock((self._root / "requirements.txt").read_text())

    @cached_property
    def _owners(self) -> dict[str, str]:
        return owners(self.lock)

    def _paths(self, modules: Iterable[str]) -> set[str]:
        """The modules' files, and what lies beside them and is no code: templates, styles."""
        code = {self._code.modules[each] for each in modules}
        packages = {str(PurePosixPath(each).parent) for each in code if each.endswith("/__init__.py")}
        every = {str(PurePosixPath(each).parent) for each in self._code.modules.values()}
        data = set()
        for path in self._code.files:
            holder = next((str(each) for each in PurePosixPath(path).parents if str(each) in every), "")
            if holder in packages and not path.endswith((".py", ".typed")):
                data.add(path)
        return code | data

    def _read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()


def read_projects(folder: str) -> dict[str, bytes]:
    """The project files of a folder. Raises: PermanentError where there are none."""
    if not folder:
        return {}
    found = {each.name: each.read_bytes() for each in sorted(Path(folder).glob("*.y*ml"))}
    if not found:
        raise PermanentError(f"PROJECTS={folder}: there is no project file", "name a folder with *.yml")
    return found


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make package", description="Make the functions' packages.")
    parser.add_argument("--only", default="", help="these functions, separated by blanks or commas")
    parser.add_argument("--projects", default="", help="a folder of project files to go with them")
    parser.add_argument("--into", type=Path, default=INTO)
    given = parser.parse_args(argv)
    only = given.only.replace(",", " ").split()
    try:
        if unknown := sorted(set(only) - set(ALL)):
            raise PermanentError(f"no function {', '.join(unknown)}", f"there are {', '.join(ALL)}")
        packages = Packages(projects=read_projects(given.projects))
        given.into.mkdir(parents=True, exist_ok=True)
        for function in only or ALL:
            made = packages.of(function)
            (given.into / f"{function}.zip").write_bytes(made.zipped)
            size, modules = len(made.zipped) / 1e6, len(made.closure.modules)
            print(
                f"{function:<13} {size:4.1f} MB  {modules:3} modules  {len(made.distributions):2} distributions  "
                f"{made.digest[:16]}"
            )
    except PermanentError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
