"""Start a tool, wait for it, end it with everything that it started."""

from __future__ import annotations

import marshal
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from turnout.core.errors import TransientError
from turnout.runtimes.cgroups import Cgroup, Limits
from turnout.runtimes.keepers import Keeper, Starter, Stream, new_interpreter
from turnout.runtimes.sandbox_files import claim, remove_tree
from turnout.runtimes.sandbox_spec import InvalidSpec, Sandbox, SandboxSpec, Wrapped
from turnout.runtimes.sandbox_supervisor import LENGTH

if TYPE_CHECKING:
    from turnout.runtimes.sandbox_child import Plan

GRACE = 5.0  # seconds between SIGTERM and SIGKILL


class ToolNotStarted(TransientError):
    """The tool, or the sandbox around it, could not be set up: nothing of it has run."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a tool ended; exactly one of ``code`` and ``signal`` is set.

    ``code`` is 127 when the program was not found, 126 when it cannot be executed. ``oom_killed``: the kernel killed
    one of its processes at the memory limit (the tool may have gone on). ``timed_out``: `RunningTool.wait` ended it.
    ``survivors``: processes that could not be killed (waiting for a dead disk, or another user's).
    """

    code: int | None
    signal: int | None = None
    oom_killed: bool = False
    timed_out: bool = False
    survivors: tuple[int, ...] = ()


class RunningTool:
    """A started tool. It ends when this process does, however that ends.

    Every method may be called from any thread. Leaving the ``with`` block kills the tool if it still runs.
    ``stdout``, ``stderr``, ``stdin``: our ends, where `start` was given ``subprocess.PIPE``. They end when every
    process of the tool has ended, so reading them to their end cannot hang on a daemon.
    """

    def __init__(
        self,
        process: Keeper,
        control: socket.socket,
        cgroup: Cgroup | None,
        wrapped: Wrapped,
    ) -> None:
        self._process = process
        self._control = control
        self._cgroup = cgroup
        self._private = wrapped.private
        self._name = wrapped.argv[0]
        self._lock = threading.Lock()
        self._said = bytearray()
        self._silent = False
        self._result: Exit | tuple[str, str] | None = None
        self._timed_out = False
        self.stdin: IO[bytes] | None = process.stdin
        self.stdout: IO[bytes] | None = process.stdout
        self.stderr: IO[bytes] | None = process.stderr

    @property
    def pid(self) -> int:
        """The process that keeps the tool; it lives as long as anything of the tool does."""
        return self._process.pid

    def poll(self, within: float = 0.0) -> Exit | None:
        """How the tool ended, if it does within so many seconds. Raises: ToolNotStarted."""
        return self._ended() if self._listen(within) else None

    def wait(self, timeout: float | None = None, grace: float = GRACE) -> Exit:
        """Wait for the tool to end; after ``timeout`` seconds, terminate it. Raises: ToolNotStarted."""
        if not self._listen(timeout):
            self._timed_out = True
            self.terminate(grace)
        return self._ended()

    def terminate(self, grace: float = GRACE) -> None:
        """SIGTERM to the tool's process group, and after ``grace`` seconds SIGKILL to everything it started.

        Returns when all of it has ended. A tool that has ended already is no error.
        """
        try:
            self._control.sendall(f"terminate {max(grace, 0.0):.3f}\n".encode())
        except OSError:
            pass  # it has ended, and the socket with it
        self._listen(None)
        self._settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.terminate(grace=0.0)
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self._process.leave(again=b"\nagain\n" in self._said)

    def _listen(self, timeout: float | None) -> bool:
        """Gather what the keeper says until it has said all; False: it has not within so many seconds.

        Its last word comes when nothing of the tool runs any more. Its own end takes another millisecond or two, which
        nobody needs to wait for.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                if self._silent:
                    return True
                watched = os.dup(self._control.fileno())
            left = None if until is None else max(0.0, until - time.monotonic())
            try:
                ready, _, _ = select.select([watched], [], [], left)
            finally:
                os.close(watched)
            if not ready:
                return False
            with self._lock:
                if not self._silent:
                    self._hear()

    def _hear(self) -> None:
        try:
            part = self._control.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return  # another thread has heard it
        except ConnectionResetError:
            part = b""  # it ended before it read our last order; what it said was delivered first
        self._said += part
        self._silent = not part

    def _ended(self) -> Exit:
        match self._settle():
            case Exit() as ended:
                return ended
            case problem:
                raise ToolNotStarted(*problem)

    def _settle(self) -> Exit | tuple[str, str]:
        """After the supervisor has ended: what it said, once; and nothing of the tool stays behind."""
        with self._lock:
            if self._result is None:
                self._result = self._read_result()
                self._control.close()
                if self._private is not None:
                    remove_tree(self._private)
            return self._result

    def _read_result(self) -> Exit | tuple[str, str]:
        lines = self._said.decode("utf-8", "replace").splitlines()
        said = {word: rest for word, _, rest in (line.partition(" ") for line in lines)}
        survivors = tuple(map(int, said.get("left", "").split()))
        oom_killed = False
        if self._cgroup is not None:
            # The supervisor did this already, unless it was killed itself.
            survivors += tuple(self._cgroup.kill(within=1.0) - {*survivors})
            oom_killed = self._cgroup.oom_kills() > 0
            self._cgroup.remove()
        ended = Exit(None, None, oom_killed, self._timed_out, survivors)
        if "exit" in said:
            return replace(ended, code=int(said["exit"]))
        if "signal" in said:
            return replace(ended, signal=int(said["signal"]))
        if "failed" in said:
            return f"{self._name} could not be started: {said['failed']}", "see docs/sandbox.md"
        return (
            f"the supervisor of {self._name} ended without a word (status {self._process.wait()})",
            "if the machine ran out of memory, give the stage a memory limit",
        )


class Prepared:
    """A keeper with a process in a control group of its own, that waits to become a tool.

    Made ahead, because joining a control group takes milliseconds. ``run`` once, or ``discard``.
    ``starter``: see `keepers`. ``stdout`` and ``stderr`` are pipes; other streams are for `start`.
    Raises: TransientError when its control group, or a process, cannot be made.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        limits: Limits,
        *,
        starter: Starter = new_interpreter,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.PIPE,
        stderr: Stream = subprocess.PIPE,
    ) -> None:
        self.limits = limits
        self._sandbox = sandbox
        self._cgroup = sandbox.cgroups.create(limits) if sandbox.cgroups is not None else None
        self._control, theirs = socket.socketpair()
        try:
            self._keeper = starter(theirs, stdin, stdout, stderr)
        except BaseException as error:
            self._control.close()
            if self._cgroup is not None:
                self._cgroup.remove(within=0.0)
            if isinstance(error, OSError):
                raise TransientError(f"no process can be started: {error.strerror}") from error
            raise
        finally:
            theirs.close()
        self._tell(self._cgroup.paths if self._cgroup is not None else [])

    def run(self, argv: Sequence[str], spec: SandboxSpec, *, merged: bool = False) -> RunningTool:
        """``merged``: the tool's error output goes where its output goes. Raises: as `start`."""
        private: Path | None = None
        try:
            wrapped = self._sandbox.wrap(argv, spec)
            private = wrapped.private
            if wrapped.limits != self.limits:
                raise InvalidSpec("a tool's limits cannot differ from those that were prepared")
            if wrapped.owner is not None:
                for deep, paths in ((True, wrapped.claimed), (False, wrapped.claimed_tops)):
                    for path in paths:
                        claim(path, wrapped.owner, deep=deep)
            if private is not None:
                for folder in (private, private / "home", private / "tmp"):
                    folder.mkdir(mode=0o700)
            if merged and self._keeper.stderr is not None:
                self._keeper.stderr.close()
                self._keeper.stderr = None
            tool = RunningTool(self._keeper, self._control, self._cgroup, wrapped)
            self._tell(dict(_plan(wrapped, self._cgroup, merged=merged)))
        except BaseException:
            self.discard()
            if private is not None:
                remove_tree(private)
            raise
        return tool

    def discard(self) -> None:
        """It is not wanted any more. The keeper removes its group, and ends."""
        self._control.close()
        self._keeper.leave(again=False)
        for stream in (self._keeper.stdin, self._keeper.stdout, self._keeper.stderr):
            if stream is not None:
                stream.close()

    def _tell(self, what: list[str] | dict[str, Any]) -> None:
        content = marshal.dumps(what)
        try:
            self._control.sendall(len(content).to_bytes(LENGTH, "big") + content)
        except BrokenPipeError:
            pass  # the keeper has ended already; what it has to say is read at the end


def start(
    argv: Sequence[str],
    spec: SandboxSpec,
    sandbox: Sandbox,
    *,
    stdout: Stream = None,
    stderr: Stream = None,
    stdin: Stream = subprocess.DEVNULL,
) -> RunningTool:
    """Start a tool in a sandbox. The streams are as `subprocess.Popen` takes them; None is ours.

    Returns before the tool runs; that it could not be set up is told by `RunningTool.wait`.
    Raises: InvalidSpec; TransientError when its control group cannot be made; PermanentError when the
    workspace cannot be given to the user it runs as.
    """
    prepared = Prepared(sandbox, spec.limits, stdin=stdin, stdout=stdout, stderr=stderr)
    return prepared.run(argv, spec)


def _plan(wrapped: Wrapped, cgroup: Cgroup | None, *, merged: bool) -> Plan:
    return {
        "argv": list(wrapped.argv),
        "env": dict(wrapped.env),
        "cwd": str(wrapped.cwd),
        "fenced": wrapped.fenced,
        "options": list(wrapped.options),
        "data": dict(wrapped.data),
        "staged": [(str(source), target) for source, target in wrapped.staged],
        "shown": list(wrapped.shown),
        "owner": -1 if wrapped.owner is None else wrapped.owner,
        "rlimits": list(wrapped.rlimits),
        "groups": [] if cgroup is None else cgroup.paths,
        "merged": merged,
        "network": wrapped.network,
        "private": str(wrapped.private or ""),
    }
