"""What an agent function is given: a checkout, a way to run untrusted tools, logs and artifacts.

An agent is ``run(task: TaskRequested, workspace: Workspace) -> Result``. It raises `AgentError` when it cannot
do its work (a missing tool, an unreadable report); the SDK turns that into an ``error`` result, never a success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from turnout.core.errors import PermanentError
from turnout.core.messages import TaskRequested
from turnout.core.result import Artifact
from turnout.runtimes.sandbox_spec import Mount, Sandbox

Answer = TypeVar("Answer")


class AgentError(PermanentError):
    """The agent could not do its work; ``hint`` says what to install or to change."""


@dataclass(frozen=True, slots=True)
class ToolRun:
    """How a tool ended. ``code`` is None when a signal ended it. ``stdout`` is empty unless captured, ``stderr`` too:
    then it is the end of what went to the log.
    """

    argv: tuple[str, ...]
    code: int | None
    signal: int | None = None
    oom_killed: bool = False
    timed_out: bool = False
    stdout: bytes = b""
    stderr: bytes = b""
    duration: float = 0.0

    @property
    def ok(self) -> bool:
        return self.code == 0


class Workspace(Protocol):
    """``path``: root of the checkout, at the exact commit. ``cache``: a folder that outlives the attempt, private to
    the project, visible to tools at the same path; make sub-folders keyed by what they depend on (lock file hashes).
    ``scratch``: an empty folder for reports and coverage files that is no part of the checkout; writable by tools.
    ``task``: the one that this is for.
    """

    path: Path
    cache: Path
    scratch: Path
    task: TaskRequested

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
        """Run a tool in the sandbox, in the checkout; its output goes to the attempt's log, masked.

        ``env`` is added to the scrubbed environment and the task's ``env``. ``timeout`` in seconds, besides the
        attempt's own. ``network``: None means as the task asks; installing dependencies says True.
        ``capture`` keeps stdout for the caller (stderr still goes to the log). ``writable_cache`` lets the tool
        write to ``cache`` (installers); otherwise it sees it read-only. ``quiet`` keeps the output out of the log
        unless it fails. ``secrets``: which of the stage's secrets the tool is given, None: all of them.
        ``files``: variable to text; the tool finds the text in a file that only it can read, and that goes with it, and
        the file's path in the variable.
        Raises: AgentError when the program does not exist.
        """
        ...

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
        """Run a program that the sandbox of tools cannot hold, in a ``room`` of the agent's own; ended like any tool.

        It gets no variables of the task and no secrets, only ``env``; it sees the checkout and ``mounts``. What it
        writes to those that are writable counts against the attempt's disk. The end of its standard error is always in
        `ToolRun.stderr`.
        """
        ...

    def which(self, program: str) -> str | None:
        """The absolute path of a program that tools can run, or None."""
        ...

    def secret(self, name: str) -> str:
        """The value of a secret that the task names; empty: it has none of that name."""
        ...

    def hide(self, text: str) -> None:
        """From now on this is masked as secrets are: a part of one, or what was made of it."""
        ...

    def undoable(self, work: Callable[[], Answer], undo: Callable[[], str], seconds: float) -> Answer:
        """``work``; where the attempt is told to stop in the midst of it, ``undo`` puts back what was before, and says
        in a few words what it did. It may run tools, and gets so many seconds; then the attempt ends as it was told.
        """
        ...

    def log(self, text: str) -> None:
        """A line of the agent's own in the attempt's log."""
        ...

    def earlier_findings(self) -> bytes | None:
        """The base branch's last report (``security.sarif``) that this task's is compared with, None: there is none."""
        ...

    def artifact(self, name: str, content: bytes, media_type: str = "application/octet-stream") -> Artifact:
        """Keep a file of this attempt; ``name`` is a relative path like ``junit.xml``."""
        ...
