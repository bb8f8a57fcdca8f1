"""Which Python, and which Node.js, runs a repository's tools."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agents.sdk.python_project import PythonProject, satisfies
from agents.sdk.workspace import AgentError, Workspace

_PROBE_PYTHON = (
    "import sys, importlib.util as i; print(sys.executable, '.'.join(map(str, sys.version_info[:3])),"
    " 'full' if i.find_spec('venv') and i.find_spec('ensurepip') else 'bare', sep='\\n')"
)
_PROBE_NODE = "console.log(process.execPath); console.log(process.versions.node); console.log('full')"
_NEWEST_FIRST = ("3.14", "3.13", "3.12", "3.11", "3.10", "3.9", "3.8")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """``path``: the program itself, not a launcher in front of it. ``version`` like ``3.11.7`` or ``20.20.2``.

    ``full``: a Python that can make virtual environments with pip in them (Debian's cannot without python3-venv).
    """

    path: str
    version: str
    full: bool = True

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split(".")[:3])

    def matches(self, wanted: str) -> bool:
        """``3.12`` matches 3.12.1; ``20`` matches 20.20.2; ``v20`` too."""
        parts = wanted.lstrip("v").split(".")
        return self.version.split(".")[: len(parts)] == parts


def find_python(workspace: Workspace, project: PythonProject, wanted: str) -> Interpreter:
    """``wanted`` must be met; ``.python-version`` and ``requires-python`` only choose among what is there.

    Raises: AgentError naming what to install.
    """
    if wanted:
        for found in _pythons(workspace, wanted):
            if found.matches(wanted):
                return found
        raise AgentError(
            f"Python {wanted} is not installed where this stage runs",
            f"install python{wanted}, run the stage in an image that has it, or change `python`",
        )
    if project.wanted_python:
        for found in _pythons(workspace, project.wanted_python):
            if found.matches(project.wanted_python):
                return found
        workspace.log(
            f".python-version asks for {project.wanted_python}, which is not installed; going on without"
        )
    seen: list[str] = []
    bare: Interpreter | None = None
    for version in ("", *_NEWEST_FIRST):
        for found in _pythons(workspace, version):
            if satisfies(found.numbers, project.requires_python):
                if found.full:
                    return found
                bare = bare or found
            seen.append(found.version)
    if bare:
        return bare  # with uv it is enough
    needed = f" {project.requires_python}" if project.requires_python else ""
    have = f"there is {', '.join(dict.fromkeys(seen))}; " if seen else ""
    raise AgentError(
        f"no Python{needed} found for this project", f"{have}install a Python that fits (python3-venv too)"
    )


def _pythons(workspace: Workspace, version: str) -> Iterator[Interpreter]:
    """Pythons of a version (``""``: the machine's own choice) that answer, in order of preference."""
    names = ["python3", "python"] if not version else [f"python{'.'.join(version.split('.')[:2])}"]
    candidates = []
    if version:
        root = _pyenv()
        candidates += [str(path / "bin/python3") for path in sorted(root.glob(f"{version}*"), reverse=True)]
    candidates += [path for name in names if (path := workspace.which(name))]
    if not version:
        candidates.append(getattr(sys, "_base_executable", sys.executable))
    yield from _probed(workspace, candidates, ("-I", "-c", _PROBE_PYTHON))


def interpreter_roots() -> tuple[Path, ...]:
    """Folders of this machine with further Pythons and Node.js versions, for a sandbox to show to tools."""
    return tuple(path for path in (_pyenv(), _nvm()) if path.is_dir())


def _pyenv() -> Path:
    return Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


def _nvm() -> Path:
    return Path(os.environ.get("NVM_DIR", Path.home() / ".nvm")) / "versions/node"


def find_node(workspace: Workspace, root: Path, wanted: str) -> Interpreter:
    """``wanted`` must be met; ``.nvmrc`` and ``.node-version`` only choose among what is there.

    Raises: AgentError naming what to install.
    """
    hint = wanted or _node_file(root)
    for found in _probed(workspace, _node_candidates(workspace, hint), ("-e", _PROBE_NODE)):
        if not hint or found.matches(hint):
            return found
    if wanted:
        raise AgentError(
            f"Node.js {wanted} is not installed where this stage runs",
            f"install Node.js {wanted}, run the stage in an image that has it, or change `node`",
        )
    for found in _probed(workspace, _node_candidates(workspace, ""), ("-e", _PROBE_NODE)):
        workspace.log(
            f"The repository asks for Node.js {hint}; going on with {found.version}, which is installed"
        )
        return found
    raise AgentError("there is no Node.js where this stage runs", "install Node.js 20 or newer, with npm")


def _node_file(root: Path) -> str:
    for name in (".nvmrc", ".node-version"):
        if (root / name).is_file():
            text = (root / name).read_text("utf-8", errors="replace").strip()
            if re.fullmatch(r"v?\d+(\.\d+)*", text):
                return text
    return ""


def _node_candidates(workspace: Workspace, version: str) -> list[str]:
    major = version.lstrip("v").split(".")[0]
    names = [f"node{major}", f"node-{major}", "node", "nodejs"] if major else ["node", "nodejs"]
    candidates = [path for name in names if (path := workspace.which(name))]
    if version:
        root = _nvm()
        found = sorted(root.glob(f"v{version.lstrip('v')}*"), reverse=True)
        candidates += [str(path / "bin/node") for path in found]
    return candidates


def _probed(workspace: Workspace, candidates: list[str], probe: tuple[str, ...]) -> Iterator[Interpreter]:
    for path in dict.fromkeys(candidates):
        if workspace.which(path) is None:
            continue  # not there, or where tools cannot see it
        ran = workspace.run([path, *probe], capture=True, quiet=True, timeout=30)
        lines = ran.stdout.decode(errors="replace").split("\n")
        if ran.ok and len(lines) >= 3 and Path(lines[0]).is_absolute():
            yield Interpreter(lines[0], lines[1].strip(), lines[2].strip() == "full")
