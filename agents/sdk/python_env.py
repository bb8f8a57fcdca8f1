"""A Python to run a project's tools with: its dependencies from the cache, itself from this very checkout.

Two layers. The **base** is a virtual environment in the cache, keyed by what the project's files say, with the
dependencies and the tools, without the project. The **layer** is made for each attempt in the scratch folder: a
virtual environment of three files that sees the base, with an editable install of this checkout in it. The layer
costs some 0.2 s (flit, hatchling) to 0.7 s (setuptools), since it asks the build backend directly; a
``pip install --no-deps -e .`` costs 2 s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from agents.sdk import editable_hook
from agents.sdk.dependency_cache import digest, held
from agents.sdk.installing import fetches
from agents.sdk.interpreter import Interpreter, find_python
from agents.sdk.python_installer import Installer
from agents.sdk.python_layer import install_project, installed, make_layer, normal, run_hook, site_packages
from agents.sdk.python_metadata import wanted
from agents.sdk.python_project import BuildSystem, PythonProject
from agents.sdk.toolchain import open_folder, path_with
from agents.sdk.workspace import Workspace

LAYOUT = "3"
"""Part of every key: entries made by other code than this are not used."""

_OWN = re.compile(r"\.(?:\[([^\]]*)\])?")
"""The project itself in ``install:``, with or without extras."""


@dataclass(frozen=True, slots=True)
class PythonEnv:
    """``python`` is the program to call; ``env`` what to call it with. ``sites``: its site-packages folders,
    the one with the project first.
    """

    python: str
    version: str
    sites: tuple[Path, ...]
    env: Mapping[str, str]

    def has(self, distribution: str) -> str | None:
        """The version of an installed distribution, None: it is not installed."""
        found = (installed(site).get(normal(distribution)) for site in self.sites)
        return next(filter(None, found), None)


@contextmanager
def python_env(
    workspace: Workspace,
    project: PythonProject,
    *,
    cwd: str,
    tools: Mapping[str, tuple[str, ...]],
    wanted: str = "",
    install: Sequence[str] = (),
    bare: bool = False,
) -> Iterator[PythonEnv]:
    """``tools``: distribution to requirements, installed where the project does not bring it.

    ``install`` stands for all that was found in the project's files. ``bare``: only the tools, neither dependencies
    nor the project. ``cwd``: the project's folder, from the root of the checkout.
    Raises: AgentError when something cannot be installed.
    """
    interpreter = find_python(workspace, project, wanted)
    build = None if bare else project.build
    recipe = _Recipe(workspace, project, interpreter, cwd, tools, tuple(install), bare)
    with held(workspace, "python", recipe.key(), recipe.build) as entry:
        layer = workspace.scratch / "python"
        python = make_layer(layer, entry)
        env = {"PATH": path_with(layer / "bin"), "VIRTUAL_ENV": str(layer)}
        if build is not None:
            install_project(workspace, build, layer, entry, cwd, env)
        elif not bare and (folders := _source_folders(project.root)):
            env["PYTHONPATH"] = ":".join(map(str, folders))
        sites = (site_packages(layer), site_packages(entry / "venv"))
        yield PythonEnv(python, interpreter.version, sites, env)


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a base is made."""

    workspace: Workspace
    project: PythonProject
    interpreter: Interpreter
    cwd: str
    tools: Mapping[str, tuple[str, ...]]
    install: tuple[str, ...]
    bare: bool

    def key(self) -> str:
        parts: list[str | bytes] = [
            LAYOUT,
            self.interpreter.path,
            self.interpreter.version,
            *(line for lines in self.tools.values() for line in lines),
        ]
        if not self.bare:
            parts += [*self.install, "|", *self.project.extras, "|", *self.project.requirements]
            files = [name for name in self.install if (self.project.root / name).is_file()]
            for name in (*self.project.watched, *files):
                parts += [name, (self.project.root / name).read_bytes()]
        return digest(parts)

    def build(self, folder: Path) -> None:
        what = "the linter" if self.bare else "dependencies"
        self.workspace.log(
            f"Installing {what} for Python {self.interpreter.version} (kept for the next time)"
        )
        installer = Installer(self.workspace, self.interpreter, folder / "venv")
        site = site_packages(folder / "venv")
        if not self.bare:
            name, lines = self._own_requirements(installer, folder)
            targets = self._targets(folder, lines)
            if targets:
                installer.install(targets, self.cwd, self._constraints(folder))
            self._remove_project(installer, site, name)
        present = installed(site)
        missing = [
            line for name, lines in self.tools.items() if normal(name) not in present for line in lines
        ]
        if missing:
            installer.install(missing, self.cwd, [])

    def _own_requirements(self, installer: Installer, folder: Path) -> tuple[str, list[str]]:
        """The project's name, and what it requires; its build backend is installed to be asked."""
        build = self.project.build
        if build is None:
            return self.project.name, []
        target = folder / "build"
        open_folder(target)
        if build.requires:
            installer.install(build.requires, self.cwd, [], target=target)
        more = self._ask(build, folder, "requires")
        if isinstance(more, list) and more:
            installer.install([str(each) for each in more], self.cwd, [], target=target)
        answer = self._ask(build, folder, "metadata")
        extras = self._chosen_extras() if self.install else self.project.extras
        if extras is None or not isinstance(answer, dict):
            return self.project.name, []
        return str(answer["name"]), wanted(answer["name"], answer["requires"], extras)

    def _ask(self, build: BuildSystem, folder: Path, what: str) -> object:
        python = str(folder / "venv/bin/python")
        said = run_hook(
            self.workspace,
            build,
            python,
            what,
            {},
            folder,
            self.cwd,
            {},
            network=fetches(self.workspace.task),
        )
        answers = [line for line in said.splitlines() if line.startswith(editable_hook.MARK)]
        answer: object = json.loads(answers[-1].removeprefix(editable_hook.MARK)) if answers else None
        return answer

    def _chosen_extras(self) -> list[str] | None:
        """The extras that ``install:`` names with the project (``.[ci]``); None: it does not name the project."""
        own = [match for line in self.install if (match := _OWN.fullmatch(line.strip()))]
        if not own:
            return None
        return [extra for match in own for extra in re.findall(r"[^\s,]+", match[1] or "")]

    def _targets(self, folder: Path, own: list[str]) -> list[str]:
        """Arguments of an installer: requirement files, and requirements in a file of their own."""
        given = [line for line in self.install if not _OWN.fullmatch(line.strip())]
        files = [line for line in given if (self.project.root / line).is_file()]
        lines = [line for line in given if line not in files]
        if not self.install:
            files, lines = list(self.project.files), list(self.project.requirements)
        targets = [part for name in files for part in ("-r", name)]
        if lines or own:
            listed = folder / "requirements-of-the-project.txt"
            listed.write_text("\n".join([*own, *lines]) + "\n", "utf-8")
            targets += ["-r", str(listed)]
        return targets

    def _constraints(self, folder: Path) -> list[str]:
        if not self.project.constraints or self.install:
            return []
        listed = folder / "lock-constraints.txt"
        listed.write_text("\n".join(self.project.constraints) + "\n", "utf-8")
        return ["-c", str(listed)]

    def _remove_project(self, installer: Installer, site: Path, name: str) -> None:
        """The layer brings the project from each attempt's checkout; what came of it otherwise (a release that a tool
        needs, ``-e .`` in a requirement file) would only be in the way.
        """
        here = str(self.workspace.path.resolve())
        own = {normal(name)} if self.project.build is not None else set()
        for record in site.glob("*.dist-info/direct_url.json"):
            url = str(json.loads(record.read_text("utf-8")).get("url", ""))
            if url.startswith("file:") and unquote(url.removeprefix("file://")).startswith(here):
                own.add(normal(record.parent.name.partition("-")[0]))
        for each in own & set(installed(site)):
            installer.uninstall(each)


def _source_folders(root: Path) -> list[Path]:
    """Where the packages of a project that is not installed are imported from."""
    source = root / "src"
    return [source, root] if source.is_dir() and not (source / "__init__.py").exists() else [root]
