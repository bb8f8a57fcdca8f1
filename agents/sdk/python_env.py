"""A Python to run a project's tools with: its dependencies from the cache, itself from this very checkout.

Two layers. The **base** is a virtual environment in the cache, keyed by what the project's files say, with the
dependencies and the tools, without the project. The **layer** is made for each attempt in the scratch folder: a
virtual environment of three files that sees the base, with an editable install of this checkout in it. The layer
costs some 0.2 s (flit, hatchling) to 0.7 s (setuptools), since it asks the build backend directly; a
``pip install --no-deps -e .`` costs 2 s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from agents.sdk import editable_hook
from agents.sdk.dependency_cache import digest, held
from agents.sdk.interpreter import Interpreter, find_python
from agents.sdk.python_installer import Installer
from agents.sdk.python_layer import install_project, installed, make_layer, normal, run_hook, site_packages
from agents.sdk.python_project import BuildSystem, PythonProject
from agents.sdk.toolchain import open_folder, path_with
from agents.sdk.workspace import Workspace

LAYOUT = "2"
"""Part of every key: entries made by other code than this are not used."""


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
            for name in self.project.watched:
                parts += [name, (self.project.root / name).read_bytes()]
        return digest(parts)

    def build(self, folder: Path) -> None:
        venv = folder / "venv"
        what = "the linter" if self.bare else "dependencies"
        self.workspace.log(
            f"Installing {what} for Python {self.interpreter.version} (kept for the next time)"
        )
        installer = Installer(self.workspace, self.interpreter, venv)
        targets = [] if self.bare else self._targets(folder)
        if targets:
            installer.install(targets, self.cwd, self._constraints(folder))
            self._remove_project(installer, site_packages(venv))
        present = installed(site_packages(venv))
        missing = [
            line for name, lines in self.tools.items() if normal(name) not in present for line in lines
        ]
        if missing:
            installer.install(missing, self.cwd, [])
        if self.project.build is not None and not self.bare:
            self._build_requirements(installer, folder, self.project.build)

    def _targets(self, folder: Path) -> list[str]:
        """Arguments of an installer: requirement files, requirements, the project with its extras."""
        if self.install:
            return [part for line in self.install for part in _target(self.project.root, line)]
        targets = [part for name in self.project.files for part in ("-r", name)]
        if self.project.requirements:
            listed = folder / "requirements.txt"
            listed.write_text("\n".join(self.project.requirements) + "\n", "utf-8")
            targets += ["-r", str(listed)]
        if self.project.build is not None:
            targets.append(f".[{','.join(self.project.extras)}]" if self.project.extras else ".")
        return targets

    def _constraints(self, folder: Path) -> list[str]:
        if not self.project.constraints or self.install:
            return []
        listed = folder / "constraints.txt"
        listed.write_text("\n".join(self.project.constraints) + "\n", "utf-8")
        return ["-c", str(listed)]

    def _remove_project(self, installer: Installer, site: Path) -> None:
        """The project was installed for its dependencies; the layer brings it from each attempt's checkout."""
        here = str(self.workspace.path.resolve())
        for record in site.glob("*.dist-info/direct_url.json"):
            url = str(json.loads(record.read_text("utf-8")).get("url", ""))
            if url.startswith("file:") and unquote(url.removeprefix("file://")).startswith(here):
                installer.uninstall(record.parent.name.partition("-")[0])

    def _build_requirements(self, installer: Installer, folder: Path, build: BuildSystem) -> None:
        target = folder / "build"
        open_folder(target)
        if build.requires:
            installer.install(build.requires, self.cwd, [], target=target)
        wanted = run_hook(
            self.workspace,
            build,
            str(folder / "venv/bin/python"),
            "requires",
            {},
            folder,
            self.cwd,
            {},
            network=True,
        )
        for line in wanted.splitlines():
            if line.startswith(editable_hook.MARK):
                more = [str(each) for each in json.loads(line.removeprefix(editable_hook.MARK))]
                if more:
                    installer.install(more, self.cwd, [], target=target)


def _target(root: Path, line: str) -> list[str]:
    """An entry of ``install:``: a requirement file, the project with extras (``.[test]``), or a requirement."""
    return ["-r", line] if (root / line).is_file() else [line]


def _source_folders(root: Path) -> list[Path]:
    """Where the packages of a project that is not installed are imported from."""
    source = root / "src"
    return [source, root] if source.is_dir() and not (source / "__init__.py").exists() else [root]
