"""Installing Python distributions into a virtual environment, in the sandbox, with the network (a fork's without)."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from agents.sdk.installing import fetches, installer_environment, offline
from agents.sdk.interpreter import Interpreter
from agents.sdk.workspace import AgentError, Workspace


class Installer:
    """uv where it is installed (some ten times faster), and pip where there is none or where uv did not manage."""

    def __init__(self, workspace: Workspace, interpreter: Interpreter, venv: Path) -> None:
        self._workspace = workspace
        self._venv = venv
        self._env = installer_environment(workspace.cache / "downloads", trusted=workspace.task.trusted)
        self._uv = _find_uv(workspace)
        pip = () if self._uv is None else ("--without-pip",)
        ran = self._call([interpreter.path, "-m", "venv", *pip, str(venv)])
        if not ran:
            raise AgentError(
                f"{interpreter.path} could not make a virtual environment (its words are in the log)",
                "install its venv module; on Debian: apt-get install python3-venv",
            )

    @property
    def _python(self) -> str:
        return str(self._venv / "bin/python")

    def install(self, what: Sequence[str], cwd: str, more: Sequence[str], target: Path | None = None) -> None:
        """Raises: AgentError; what the installer said is in the log."""
        args = [*(("--target", str(target)) if target else ()), *more, *what]
        if self._uv and self._call(
            [self._uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", self._python, *args],
            cwd,
        ):
            return
        self._need_pip()
        if not self._call(
            [self._python, "-m", "pip", "install", "--quiet", "--progress-bar", "off", *args], cwd
        ):
            shown = " ".join(
                part.rpartition("/")[2] if part.startswith("/") else part for part in what if part != "-r"
            )
            raise AgentError(
                f"the installer could not install {shown[:200]} (its words are in the log)",
                offline(self._workspace.task) or "correct the project's requirements, or say with.install",
            )

    def uninstall(self, distribution: str) -> None:
        argv = [self._uv, "pip", "uninstall", "--quiet", "--python", self._python] if self._uv else []
        self._call([*(argv or [self._python, "-m", "pip", "uninstall", "--quiet", "--yes"]), distribution])

    def _need_pip(self) -> None:
        if self._uv is not None:
            self._workspace.log("uv did not manage; trying pip")
            if not self._call([self._python, "-m", "ensurepip", "--default-pip"]):
                raise AgentError("pip cannot be set up", "install python3-venv and python3-pip")

    def _call(self, argv: Sequence[str | None], cwd: str = ".") -> bool:
        return self._workspace.run(
            [part for part in argv if part is not None],
            cwd=cwd,
            env=self._env,
            network=fetches(self._workspace.task),
            writable_cache=True,
            quiet=True,
        ).ok


def _find_uv(workspace: Workspace) -> str | None:
    """uv on the path, or a copy of the one that this agent has: tools do not see the agent's own folders."""
    if found := workspace.which("uv"):
        return found
    beside = Path(sys.executable).parent / "uv"
    mine = str(beside) if beside.exists() else shutil.which("uv")
    if mine is None:
        return None
    copy = workspace.cache / "programs" / "uv"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        growing = copy.with_name(f".uv.{os.getpid()}")
        shutil.copy(mine, growing)  # a copy, no link: what an installer does to it stays in the cache
        growing.rename(copy)
    return str(copy)
