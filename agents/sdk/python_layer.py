"""The thin virtual environment of one attempt: it sees a base in the cache, and holds an editable install."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from agents.sdk import editable_hook
from agents.sdk.inside import read_inside
from agents.sdk.python_project import BuildSystem
from agents.sdk.toolchain import open_folder, path_with, put
from agents.sdk.workspace import AgentError, Workspace
from turnout.runtimes.sandbox_files import remove_tree


def make_layer(layer: Path, entry: Path) -> str:
    """A virtual environment like the base's, with a path file that adds the base. Returns its Python."""
    venv = entry / "venv"
    remove_tree(layer)
    site = layer / site_packages(venv).relative_to(venv)
    open_folder(site)
    (layer / "pyvenv.cfg").write_bytes(read_inside(venv, "pyvenv.cfg") or b"")
    (site / "zz_base.pth").write_text(
        f"import site; site.addsitedir({str(site_packages(venv))!r})\n", "utf-8"
    )
    open_folder(layer / "bin")
    python = str(layer / "bin/python")
    for program in (venv / "bin").iterdir():
        copy = layer / "bin" / program.name
        if program.is_symlink():
            copy.symlink_to(os.readlink(program))
        elif not program.name.startswith(("activate", "Activate")):
            _copy_command(program, copy, python)
    return python


def _copy_command(program: Path, copy: Path, python: str) -> None:
    """A command of the base, made to start the layer's Python, so that it sees the project too."""
    content = program.read_bytes() if program.stat().st_size < 65536 else b""
    head, _, rest = content.partition(b"\n")
    interpreter = (
        re.search(rb"/[^\s'\"]*/bin/python[\d.]*", content[:1024]) if head.startswith(b"#!") else None
    )
    if interpreter is None:
        copy.symlink_to(program)
        return
    if head.endswith(interpreter[0]):
        content = f"#!{python}\n".encode() + rest
    else:
        content = content.replace(interpreter[0], python.encode())  # pip's launcher for long paths
    copy.write_bytes(content)
    copy.chmod(0o755)


def install_project(
    workspace: Workspace, build: BuildSystem, layer: Path, entry: Path, cwd: str, env: Mapping[str, str]
) -> None:
    settings = {
        "site": str(layer / site_packages(entry / "venv").relative_to(entry / "venv")),
        "bin": str(layer / "bin"),
    }
    run_hook(workspace, build, str(layer / "bin/python"), "install", settings, entry, cwd, env)


def run_hook(
    workspace: Workspace,
    build: BuildSystem,
    python: str,
    what: str,
    settings: Mapping[str, str],
    entry: Path,
    cwd: str,
    env: Mapping[str, str],
    network: bool | None = None,
) -> str:
    hook = put(workspace.scratch / "editable_hook.py", Path(editable_hook.__file__).read_text("utf-8"))
    path = env.get("PATH", path_with())
    ran = workspace.run(
        [python, str(hook), what, json.dumps({**settings, "backend": build.backend, "path": build.path})],
        cwd=cwd,
        env={
            **env,
            "PYTHONPATH": str(entry / "build"),
            "PATH": f"{entry / 'build/bin'}:{path}",
            "PYTHONWARNINGS": "ignore",
        },
        network=network,
        capture=True,
        quiet=True,
    )
    if not ran.ok:
        for line in ran.stdout.decode(errors="replace").splitlines()[-20:]:
            workspace.log(line)
        raise AgentError(
            f"the project could not be installed: its build backend {build.backend} failed (see the log)",
            "correct the build configuration; `pip install -e .` shows the same",
        )
    return ran.stdout.decode(errors="replace")


def site_packages(venv: Path) -> Path:
    found = sorted((venv / "lib").glob("python3.*/site-packages"))
    if not found:
        raise AgentError(f"{venv} is no virtual environment", "remove the folder; it will be made anew")
    return found[0]


def installed(site: Path) -> dict[str, str]:
    """Normalised name to version of what is in a site-packages folder."""
    names = (path.name.removesuffix(".dist-info").rpartition("-") for path in site.glob("*.dist-info"))
    return {normal(name): version for name, _, version in names}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
