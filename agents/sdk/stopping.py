"""Ending an attempt before its agent is done: the order comes from one thread, the work is in another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

from turnout.runtimes.sandbox import RunningTool

Why = Literal["cancelled", "lost", "timed_out", "overflow"]
"""``overflow``: it wrote more to the disk than it may."""


_Answer = TypeVar("_Answer")


class Stopped(BaseException):
    """Raised where the agent works. No agent should catch it, so it is no `Exception`."""


class Stopping:
    """Whether the attempt is to end, and the tool that would have to end with it.

    ``undo_time``: seconds that undoing what is done now takes; 0: it is left as it is. ``undone``: what was put back.
    ``raised``: whoever works has been told, and is not to be told again by a signal.
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self.why: Why | None = None
        self.reason = ""
        self.undo_time = 0.0
        self.undone = ""
        self.raised = False
        self._undoing = False
        self._tool: RunningTool | None = None
        self._lock = threading.Lock()

    def request(self, why: Why, reason: str) -> bool:
        """False: it is stopping already, for another reason."""
        with self._lock:
            if self.why is not None:
                return False
            self.why, self.reason = why, reason
            return True

    def check(self) -> None:
        """Raises: Stopped."""
        if self.why is not None and not self._undoing:
            self.raised = True
            raise Stopped

    def undoable(self, work: Callable[[], _Answer], undo: Callable[[], str], seconds: float) -> _Answer:
        """As `agents.sdk.workspace.Workspace.undoable`."""
        try:
            self.undo_time = seconds
            return work()
        except Stopped:
            self._undoing = True
            try:
                self.undone = undo()
            except Exception as error:  # the attempt ends as it was told to, whatever this was
                self.undone = f"what it did could not be undone: {error}"
            finally:
                self._undoing = False
            raise
        finally:
            self.undo_time = 0.0

    @contextmanager
    def running(self, start: Callable[[], RunningTool]) -> Iterator[RunningTool]:
        """Start a tool, unless it is too late; whoever asks to stop ends it. Raises: Stopped."""
        with self._lock:
            self.check()
            tool = start()
            self._tool = tool
        try:
            with tool:
                yield tool
        finally:
            with self._lock:
                self._tool = None

    def end_tool(self) -> None:
        """SIGTERM, after `grace` seconds SIGKILL, for the tool that runs, if one does. Returns when it has ended."""
        with self._lock:
            tool = self._tool
        if tool is not None:
            tool.terminate(self.grace)
