"""The workspace of one attempt on this machine: tools run in the sandbox, and their output goes to the log."""

from __future__ import annotations

import hashlib
import os
import re
import selectors
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from agents.sdk import disk
from agents.sdk.channel import Kept
from agents.sdk.environment import variables
from agents.sdk.logs import LogStream
from agents.sdk.masking import Masker
from agents.sdk.private_files import with_files
from agents.sdk.stopping import Stopping
from agents.sdk.workspace import AgentError, Answer, ToolRun
from turnout.core.artifact_keys import attempt_key
from turnout.core.messages import TaskRequested
from turnout.core.planned import CACHE_SWITCH
from turnout.core.result import Artifact
from turnout.runtimes.sandbox import Limits, Mount, Prepared, RunningTool, Sandbox, SandboxSpec
from turnout.runtimes.sandbox_spec import MINIMAL_PATH

MOST_PROCESSES = 4096  # of one tool, threads counted
LARGEST_CAPTURE = 64 * 1024 * 1024  # bytes
QUIET_END = 1024 * 1024  # bytes of a quiet tool's output that are shown when it fails
END_OF_ERRORS = 64 * 1024  # bytes of a captured tool's standard error that its caller sees
_PIECE = 1 << 16
_TEXTUAL = re.compile(r"text/.*|application/(?:.*\+)?(?:json|xml|yaml|sarif)")


@cache
def tool_path() -> str:
    """Where tools are looked for: the system's folders, then those of the Python that agents run on."""
    return f"{MINIMAL_PATH}:{Path(sys.base_prefix).resolve() / 'bin'}"


def cache_of(home: Path, task: TaskRequested, own: Path) -> Path:
    """What a fork's code left there never reaches a trusted attempt; where nothing is to be kept, it goes with the
    attempt's ``own`` folder."""
    if task.env.get(CACHE_SWITCH, "").lower() == "off":
        return own / "cache"
    name = hashlib.sha256(task.project.encode()).hexdigest()[:20]
    return home / "cache" / (name if task.trusted else f"{name}-untrusted")


USUAL_LIMITS = Limits(pids=MOST_PROCESSES)  # of tasks that say nothing of their resources


def limits(task: TaskRequested) -> Limits:
    """Of each tool of the task."""
    asked = task.resources
    return Limits(
        memory_bytes=asked.memory or None,
        cpus=asked.cpu or None,
        pids=MOST_PROCESSES,
        file_bytes=disk.limit(os.environ),
    )


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


@dataclass(slots=True)
class LocalWorkspace:
    """``shown``: folders besides that tools may read (the mirror's objects).

    ``kept``: where artifacts wait for the worker. ``prepared``: gives what a tool is started with.
    ``undoing``: told how many seconds are needed to undo what is about to be done.
    """

    path: Path
    cache: Path
    scratch: Path
    task: TaskRequested
    sandbox: Sandbox
    stopping: Stopping
    stream: LogStream
    masker: Masker
    kept: Path
    keep: Callable[[Kept], None]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    shown: tuple[Path, ...] = ()
    prepared: Callable[[Sandbox, Limits], Prepared] = Prepared
    disk: disk.Disk | None = None
    earlier: str | None = None
    undoing: Callable[[float], None] = lambda _: None

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
        """Raises: AgentError; Stopped when the attempt is to end; ToolNotStarted when the sandbox failed."""
        self.stopping.check()
        if writable_cache and self.disk is not None:
            self.disk.include(self.cache)
        asked = self.task.network if network is None else network
        given = {**self._given(secrets, writable_cache=writable_cache), **(env or {})}
        spec = self._spec(cwd, given, network=asked, writable_cache=writable_cache, own_home=bool(files))
        if self.sandbox.which(argv[0], spec) is None:
            raise AgentError(
                f"{argv[0]} is not installed where tools can see it",
                f"install it on the agents' machine, in one of {tool_path()}",
            )
        inside: Sequence[str] = argv
        if files:
            inside, added = with_files(argv, files)
            spec = replace(spec, env={**spec.env, **added})
        command = f"$ {shlex.join(argv)}" + (f"   (in {cwd})" if cwd != "." else "")

        def begin() -> RunningTool:
            return self.prepared(self.sandbox, spec.limits).run(inside, spec, merged=not capture)

        return self._follow(argv, command, begin, timeout=timeout, capture=capture, quiet=quiet)

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
        """Raises: AgentError; Stopped when the attempt is to end; ToolNotStarted when the room failed."""
        self.stopping.check()
        for mount in mounts:
            if mount.writable and self.disk is not None:
                self.disk.include(mount.source)
        spec = SandboxSpec(
            workspace=self.path,
            network=network,
            limits=limits(self.task),
            mounts=tuple(mounts),
            env=dict(env or {}),
        )

        def begin() -> RunningTool:
            return Prepared(room, spec.limits).run(argv, spec)

        command = f"$ {shlex.join(argv)}"
        return self._follow(argv, command, begin, timeout=timeout, capture=capture, quiet=quiet)

    def _follow(
        self,
        argv: Sequence[str],
        command: str,
        begin: Callable[[], RunningTool],
        *,
        timeout: float | None,
        capture: bool,
        quiet: bool,
    ) -> ToolRun:
        if not quiet:
            self.log(command)
        began = time.monotonic()
        output = _Output(self.stream, capture=capture, quiet=quiet)
        with self.stopping.running(begin) as tool:
            timed_out = output.follow(tool, None if timeout is None else began + timeout, self.stopping.grace)
            ended = tool.wait()
        self.stopping.check()
        ran = ToolRun(
            argv=tuple(argv),
            code=ended.code,
            signal=ended.signal,
            oom_killed=ended.oom_killed,
            timed_out=timed_out,
            stdout=output.captured(argv[0]),
            stderr=output.errors(),
            duration=time.monotonic() - began,
        )
        if quiet and not ran.ok:
            self.log(command)
            self.stream.write(output.held())
        self._say_how_it_ended(ran, timeout)
        return ran

    def which(self, program: str) -> str | None:
        return self.sandbox.which(program, self._spec(".", {}, network=False, writable_cache=False))

    def secret(self, name: str) -> str:
        return self.secrets.get(name, "")

    def hide(self, text: str) -> None:
        self.stream.hide(text)

    def undoable(self, work: Callable[[], Answer], undo: Callable[[], str], seconds: float) -> Answer:
        self.undoing(seconds)
        try:
            return self.stopping.undoable(work, undo, seconds)
        finally:
            self.undoing(0.0)

    def log(self, text: str) -> None:
        self.stream.line(text)

    def earlier_findings(self) -> bytes | None:
        return None if self.earlier is None else self.earlier.encode()

    def artifact(self, name: str, content: bytes, media_type: str = "application/octet-stream") -> Artifact:
        parts = name.split("/")
        if not all(_nameable(each) for each in parts):
            raise AgentError(
                f"{ascii(name)[:200]} cannot name an artifact",
                "use a relative path in UTF-8, without `.` and `..`, each part of at most 200 bytes",
            )
        if _TEXTUAL.fullmatch(media_type) or _is_text(content):
            content = self.masker.whole(content)
        elif self.masker.hides(content):
            raise AgentError(
                f"{name} is not kept: it holds a secret, and is no text in which that could be masked",
                "leave the secret out of it",
            )
        waiting = self.kept / str(len(list(self.kept.iterdir())))
        waiting.write_bytes(content)
        artifact = Artifact(
            name=name,
            key=attempt_key(self.task.run, self.task.task, self.task.number, name),
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            media_type=media_type,
        )
        self.keep(Kept(artifact=artifact, path=waiting))
        return artifact

    def _given(self, names: Sequence[str] | None, *, writable_cache: bool) -> dict[str, str]:
        if (
            writable_cache
        ):  # an installer runs other people's scripts: the stage's secrets are none of its business
            return {}
        return {name: value for name, value in self.secrets.items() if names is None or name in names}

    def _spec(
        self,
        cwd: str,
        env: Mapping[str, str],
        *,
        network: bool,
        writable_cache: bool,
        own_home: bool = False,
    ) -> SandboxSpec:
        known = variables(self.task)
        if own_home:
            known.pop("HOME", None)
        return SandboxSpec(
            workspace=self.path,
            cwd=self._inside(cwd),
            network=network,
            limits=limits(self.task),
            mounts=(
                Mount(self.cache, writable=writable_cache),
                Mount(self.scratch, writable=True),
                *(Mount(each) for each in self.shown),
            ),
            env={"PATH": tool_path(), **known, **env},
        )

    def _inside(self, cwd: str) -> str:
        if cwd == ".":
            return cwd
        real = (self.path / cwd).resolve()
        if not real.is_relative_to(self.path.resolve()) or not real.is_dir():
            raise AgentError(f"there is no folder {cwd!r} in the checkout")
        return cwd

    def _say_how_it_ended(self, ran: ToolRun, timeout: float | None) -> None:
        if ran.timed_out:
            self.log(f"{ran.argv[0]} was ended after {timeout:g} s")
        elif ran.oom_killed:
            self.log(f"{ran.argv[0]} ran out of memory: the kernel killed a process of it")
        elif ran.signal is not None:
            self.log(f"{ran.argv[0]} was ended by signal {ran.signal}")


def _nameable(part: str) -> bool:
    """A repository may call a file what no key of the store, and no JSON, can hold."""
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        return False
    return 1 <= size <= 200 and "\0" not in part and part not in (".", "..")


class _Output:
    """What a tool prints: to the log at once, or held until it is known whether it failed; captured, or not."""

    def __init__(self, stream: LogStream, *, capture: bool, quiet: bool) -> None:
        self._stream = stream
        self._capture = capture
        self._quiet = quiet
        self._taken = bytearray()
        self._held = bytearray()
        self._errors = bytearray()

    def follow(self, tool: RunningTool, deadline: float | None, grace: float) -> bool:
        """Read until the tool has closed its output; True: it had to be ended at the deadline."""
        timed_out = False
        with selectors.DefaultSelector() as ready:
            for pipe, take in ((tool.stdout, self._out), (tool.stderr, self._err)):
                if pipe is not None:
                    ready.register(pipe, selectors.EVENT_READ, take)
            while ready.get_map():
                left = None if deadline is None or timed_out else max(0.0, deadline - time.monotonic())
                for key, _ in ready.select(left):
                    piece = os.read(key.fd, _PIECE)
                    if piece:
                        key.data(piece)
                    else:
                        ready.unregister(key.fileobj)
                if deadline is not None and not timed_out and time.monotonic() >= deadline:
                    timed_out = True
                    tool.terminate(grace)
        return timed_out

    def captured(self, program: str) -> bytes:
        if len(self._taken) > LARGEST_CAPTURE:
            raise AgentError(f"{program} printed more than {LARGEST_CAPTURE} bytes to its standard output")
        return bytes(self._taken)

    def held(self) -> bytes:
        """What a quiet tool printed, or the end of it."""
        return bytes(self._held[-QUIET_END:])

    def errors(self) -> bytes:
        return bytes(self._errors[-END_OF_ERRORS:])

    def _err(self, piece: bytes) -> None:
        self._errors += piece
        if len(self._errors) > 2 * END_OF_ERRORS:
            del self._errors[:-END_OF_ERRORS]
        self._show(piece)

    def _out(self, piece: bytes) -> None:
        if not self._capture:
            self._show(piece)
        elif len(self._taken) <= LARGEST_CAPTURE:
            self._taken += piece

    def _show(self, piece: bytes) -> None:
        if not self._quiet:
            self._stream.write(piece)
            return
        self._held += piece
        if len(self._held) > 2 * QUIET_END:
            del self._held[:-QUIET_END]
