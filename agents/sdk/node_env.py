"""A Node.js to run a project's tools with: its dependencies from the cache, tools it lacks from beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.sdk import node_modules
from agents.sdk.dependency_cache import digest, held
from agents.sdk.installing import fetches, installer_environment, offline
from agents.sdk.interpreter import Interpreter, find_node
from agents.sdk.node_modules import NodeProject, read_node_project
from agents.sdk.package_json import read_package_json
from agents.sdk.toolchain import path_with
from agents.sdk.workspace import AgentError, Workspace


@dataclass(frozen=True, slots=True)
class NodeEnv:
    """``node`` is the program to call, ``env`` what to call it with, ``npm`` the package manager's program.

    ``folders``: ``node_modules`` folders in the order in which they are looked through.
    """

    node: str
    version: str
    npm: str
    folders: tuple[Path, ...]
    env: Mapping[str, str]

    def has(self, package: str) -> str | None:
        """The version of an installed package, None: it is not installed."""
        return node_modules.versions(self.folders, package)

    def command(self, package: str, name: str = "") -> list[str]:
        """How to start a package's command (of the package's own name where none is given).

        Raises: AgentError when it is not installed.
        """
        wanted = name or package.rpartition("/")[2]
        found = node_modules.manifest(self.folders, package)
        if found:
            folder, content = found
            declared = content.get("bin")
            programs = declared if isinstance(declared, dict) else {wanted: declared}
            program = programs.get(wanted)
            if isinstance(program, str) and (folder / program).is_file():
                return [self.node, str(folder / program)]
        raise AgentError(
            f"{package} is not installed", f"add it to the project: npm install --save-dev {package}"
        )


@contextmanager
def node_env(
    workspace: Workspace,
    root: Path,
    *,
    tools: Mapping[str, str],
    wanted: str = "",
    install: Sequence[str] = (),
) -> Iterator[NodeEnv]:
    """``tools``: package to npm's specification (``mocha@11.8.0``), installed where the project does not bring it.

    ``install``: packages to be added to the project's own. Raises: AgentError when something cannot be installed.
    """
    node = find_node(workspace, root, wanted)
    env = {"PATH": path_with(root / "node_modules/.bin", Path(node.path).parent)}
    installer = _Installer(workspace, node, env)
    folders = [root / "node_modules"]
    with ExitStack() as held_entries:
        package = read_package_json(root)
        if package and package.wants | set(install) and not _complete(folders[0]):
            project = read_node_project(root, package)
            entry = held_entries.enter_context(installer.project(project, install))
            node_modules.link(entry, project)
            folders.append(entry / "node_modules")
        missing = {spec for name, spec in tools.items() if node_modules.versions(folders, name) is None}
        if missing:
            entry = held_entries.enter_context(installer.tools(missing))
            folders.append(entry / "node_modules")
        yield NodeEnv(node.path, node.version, installer.npm, tuple(folders), env)


def _complete(folder: Path) -> bool:
    """Whether the repository brings its dependencies with it."""
    return folder.is_dir() and not folder.is_symlink() and any(folder.iterdir())


class _Installer:
    def __init__(self, workspace: Workspace, node: Interpreter, env: Mapping[str, str]) -> None:
        beside = Path(node.path).parent / "npm"
        npm = str(beside) if beside.exists() else workspace.which("npm")
        if npm is None:
            raise AgentError("there is no npm where this stage runs", "install npm beside Node.js")
        self.npm = npm
        self._workspace = workspace
        self._node = node
        self._env = {
            **env,
            **installer_environment(workspace.cache / "downloads", trusted=workspace.task.trusted),
        }

    @contextmanager
    def project(self, project: NodeProject, install: Sequence[str]) -> Iterator[Path]:
        def build(folder: Path) -> None:
            self._workspace.log(f"Installing dependencies with {project.manager} (kept for the next time)")
            if not project.lock:
                self._workspace.log(
                    "There is no lock file: what is installed now is kept until package.json changes"
                )
            node_modules.stage(project, folder)
            with self._manager(project) as program:
                for arguments in node_modules.commands(project, install):
                    self._call([*program, *arguments], folder)

        with held(
            self._workspace, "node", node_modules.key(project, self._node.version, install), build
        ) as entry:
            yield entry

    @contextmanager
    def tools(self, specs: set[str]) -> Iterator[Path]:
        def build(folder: Path) -> None:
            self._workspace.log(f"Installing {', '.join(sorted(specs))} (kept for the next time)")
            (folder / "package.json").write_text(json.dumps({"name": "tools", "private": True}))
            self._call([self.npm, "install", "--no-save", "--no-package-lock", *sorted(specs)], folder)

        with held(
            self._workspace, "node", digest(["tools", self._node.version, *sorted(specs)]), build
        ) as entry:
            yield entry

    @contextmanager
    def _manager(self, project: NodeProject) -> Iterator[list[str]]:
        """The program that installs the project: the version it names, else the machine's, else a pinned one."""
        name, _, version = project.package.manager.partition("+")[0].partition("@")
        if project.manager == "npm":
            yield [self.npm]
        elif (
            (found := self._workspace.which(project.manager))
            and name != project.manager
            and not project.berry
        ):
            yield [found]
        else:
            package = "@yarnpkg/cli-dist" if project.berry else project.manager
            pinned = f"{package}@{version}" if name == project.manager and version else ""
            spec = pinned or node_modules.DEFAULT_MANAGERS[project.manager]
            if project.berry and not pinned:
                spec = "@yarnpkg/cli-dist@4.9.2"
            with self.tools({spec}) as entry:
                tools = NodeEnv(self._node.path, self._node.version, self.npm, (entry / "node_modules",), {})
                yield tools.command(package, project.manager)

    def _call(self, argv: Sequence[str], folder: Path) -> None:
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(folder), *argv]
        ran = self._workspace.run(
            inside, env=self._env, network=fetches(self._workspace.task), writable_cache=True, quiet=True
        )
        if not ran.ok:
            raise AgentError(
                f"{Path(argv[0]).name} could not install the dependencies (its words are in the log)",
                offline(self._workspace.task)
                or "see that package.json and the lock file agree, and that the registry can be reached",
            )
