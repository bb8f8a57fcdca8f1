"""Workspaces for the agents' own tests: a plain one, whose tools are children of the test, and the real one."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.sdk.interpreter import interpreter_roots
from agents.sdk.local_workspace import LocalWorkspace
from agents.sdk.logs import LogStream
from agents.sdk.masking import Masker
from agents.sdk.operator_paths import operator_paths
from agents.sdk.private_files import with_files
from agents.sdk.stopping import Stopping
from agents.sdk.workspace import AgentError, Answer, ToolRun
from turnout.core.messages import Checkout, TaskRequested
from turnout.core.result import Artifact
from turnout.runtimes.sandbox import Mount, Sandbox


class PlainWorkspace:
    """``lines``: the attempt's log. ``kept``: artifacts by name. ``given``: what tools see of env and secrets."""

    def __init__(self, folder: Path, checkout: Path | None = None, cache: Path | None = None) -> None:
        self.path = checkout or folder / "checkout"
        self.cache = cache or folder / "cache"
        self.scratch = folder / "scratch"
        self.home = folder / "home"
        for each in (self.path, self.cache, self.scratch, self.home):
            each.mkdir(parents=True, exist_ok=True)
        self.task = task("test")
        self.networked: list[bool | None] = []
        self.lines: list[str] = []
        self.kept: dict[str, bytes] = {}
        self.earlier: bytes | None = None
        self.given: dict[str, str] = {}
        self.hidden: list[str] = []
        self.ran: list[tuple[str, ...]] = []

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        network: bool | None = None,
        capture: bool = False,
        writable_cache: bool = False,
        quiet: bool = False,
        secrets: Sequence[str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> ToolRun:
        self.ran.append(tuple(argv))
        self.networked.append(network)
        given = {name: value for name, value in self.given.items() if secrets is None or name in secrets}
        if files:
            argv, added = with_files(argv, files)
            env = {**(env or {}), **added}
        base = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        started = time.monotonic()
        try:
            process = subprocess.run(
                list(argv),
                cwd=self.path / cwd,
                env={**base, "HOME": str(self.home), **given, **(env or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError as error:
            raise AgentError(f"{argv[0]} is not there") from error
        except subprocess.TimeoutExpired:
            return ToolRun(tuple(argv), None, signal.SIGKILL, timed_out=True)
        shown = process.stderr if capture else process.stdout + process.stderr
        if not quiet or process.returncode:
            self.lines += shown.decode(errors="replace").splitlines()
        ended = process.returncode
        return ToolRun(
            argv=tuple(argv),
            code=ended if ended >= 0 else None,
            signal=-ended if ended < 0 else None,
            stdout=process.stdout if capture else b"",
            stderr=process.stderr if capture else b"",
            duration=time.monotonic() - started,
        )

    def run_in(
        self,
        room: Sandbox,
        argv: Sequence[str],
        *,
        mounts: Sequence[Mount] = (),
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        network: bool = False,
        capture: bool = False,
        quiet: bool = False,
    ) -> ToolRun:
        raise AgentError(f"{argv[0]} needs a room that only the real workspace has")

    def which(self, program: str) -> str | None:
        return shutil.which(program)

    def secret(self, name: str) -> str:
        return self.given.get(name, "")

    def hide(self, text: str) -> None:
        self.hidden.append(text)

    def undoable(self, work: Callable[[], Answer], undo: Callable[[], str], seconds: float) -> Answer:
        return work()

    def log(self, text: str) -> None:
        self.lines.append(text)

    def earlier_findings(self) -> bytes | None:
        return self.earlier

    def artifact(self, name: str, content: bytes, media_type: str = "application/octet-stream") -> Artifact:
        self.kept[name] = content
        digest = hashlib.sha256(content).hexdigest()
        return Artifact(
            name=name, key=f"test/{name}", size=len(content), sha256=digest, media_type=media_type
        )


def task(agent: str, options: Mapping[str, Any] | None = None, **fields: Any) -> TaskRequested:
    given: dict[str, Any] = {
        "run": "run-1",
        "project": "project",
        "stage": agent,
        "task": agent,
        "agent": agent,
        "attempt": "attempt-1",
        "number": 1,
        "token": "token",
        "checkout": Checkout(
            repository="o/r", clone_url="", sha="0" * 40, ref="refs/heads/main", branch="main"
        ),
        "options": dict(options or {}),
        "timeout": 600.0,
        "heartbeat": 10.0,
    }
    return TaskRequested(**(given | fields))


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")


class SandboxedWorkspace(LocalWorkspace):
    """The real workspace of an attempt, tools in the sandbox that this machine has."""

    lines: list[str]
    artifacts: dict[str, Path]

    @property
    def text(self) -> str:
        self.stream.flush()
        return "".join(self.lines)


def sandboxed(
    folder: Path,
    task: TaskRequested,
    sandbox: Sandbox,
    cache: Path | None = None,
    secrets: Mapping[str, str] | None = None,
) -> SandboxedWorkspace:
    """Its checkout is ``folder / "checkout"``."""
    places = [folder / "checkout", cache or folder / "cache", folder / "scratch", folder / "kept"]
    for each in places:
        each.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    artifacts: dict[str, Path] = {}
    masker = Masker(secrets or {})
    workspace = SandboxedWorkspace(
        path=places[0],
        cache=places[1],
        scratch=places[2],
        task=task,
        sandbox=sandbox,
        stopping=Stopping(1.0),
        stream=LogStream(masker, lines.append, 10_000_000),
        masker=masker,
        kept=places[3],
        keep=lambda kept: artifacts.update({kept.artifact.name: kept.path}),
        secrets=dict(secrets or {}),
        shown=(*interpreter_roots(), *operator_paths()),
    )
    workspace.lines, workspace.artifacts = lines, artifacts
    return workspace
