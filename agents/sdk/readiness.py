"""What is made ready in an attempt's process while it waits: a process for the first tool, a tree of the same commit.

The next stage of a run mostly wants just these, and each takes milliseconds that would be waited for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agents.sdk.small_tree import SmallTree, small_tree
from turnout.adapters.mirror import Mirror
from turnout.core.errors import TurnoutError
from turnout.runtimes.keepers import Starter, new_interpreter
from turnout.runtimes.sandbox import Limits, Prepared, Sandbox, remove_tree

LONGEST = 1.0  # seconds: a checkout that took longer is not made on the chance that somebody wants it


class Readiness:
    """Belongs to one thread. ``again``: the mirror, the commit and the seconds of the last checkout."""

    def __init__(self, starter: Starter = new_interpreter) -> None:
        self._starter = starter
        self.again: tuple[Mirror, str, float] | None = None
        self._prepared: Prepared | None = None
        self._tree: Path | None = None
        self._tree_of: tuple[Path, str] | None = None
        self._growing: threading.Thread | None = None
        self._small: tuple[tuple[object, ...], SmallTree] | None = None

    def prepare(self, sandbox: Sandbox, limits: Limits) -> None:
        """A process for a tool with these limits, unless there is one. Raises: TransientError."""
        if self._prepared is not None and self._prepared.limits != limits:
            self._drop_prepared()
        if self._prepared is None:
            self._prepared = Prepared(sandbox, limits, starter=self._starter)

    def take(self, sandbox: Sandbox, limits: Limits) -> Prepared:
        """What was prepared, if it has these limits. Raises: TransientError."""
        self.prepare(sandbox, limits)
        prepared, self._prepared = self._prepared, None
        assert prepared is not None
        return prepared

    def for_the_next(self, sandbox: Sandbox, limits: Limits, home: Path) -> None:
        """Whatever cannot be made ready now, the attempt that needs it makes, and says what is wrong."""
        with suppress(TurnoutError):
            self.prepare(sandbox, limits)
        if self.again is None:
            return
        mirror, sha, took = self.again
        if self._tree_of == (mirror.path, sha) or took > LONGEST:
            return
        self._drop_tree()
        self._tree = spare_of(home) / "tree"
        # The next attempt may come before it is there: what is left to wait for then, it would have to do itself.
        self._growing = threading.Thread(target=self._grow, args=(mirror, sha, self._tree), daemon=True)
        self._growing.start()

    def _grow(self, mirror: Mirror, sha: str, tree: Path) -> None:
        with suppress(TurnoutError, OSError):
            tree.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = (mirror.path, sha, *mirror.state())
            if self._small is not None and self._small[0] == key:
                self._small[1].write(tree)
            else:
                mirror.checkout(sha, tree)
                made = small_tree(tree)
                self._small = (key, made) if made is not None else None
            self._tree_of = (mirror.path, sha)

    def _grown(self) -> None:
        if self._growing is not None:
            self._growing.join()
            self._growing = None

    def move_tree(self, mirror: Mirror, sha: str, into: Path) -> bool:
        """False: there is no tree of this commit."""
        self._grown()
        if self._tree is None or self._tree_of != (mirror.path, sha):
            return False
        try:
            self._tree.rename(into)
        except OSError:
            return False
        self._tree = self._tree_of = None
        return True

    def close(self) -> None:
        self._drop_prepared()
        self._drop_tree()

    def _drop_prepared(self) -> None:
        if self._prepared is not None:
            self._prepared.discard()
            self._prepared = None

    def _drop_tree(self) -> None:
        self._grown()
        if self._tree is not None:
            with suppress(OSError):
                remove_tree(self._tree.parent)
        self._tree = self._tree_of = None


def spare_of(home: Path) -> Path:
    """The folder of this process's spare tree."""
    return home / "spare" / str(os.getpid())


def remove_left_spares(home: Path, lives: Callable[[int], bool]) -> None:
    """What killed processes left behind."""
    for folder in (home / "spare").glob("*"):
        if not folder.name.isdecimal() or not lives(int(folder.name)):
            with suppress(OSError):
                remove_tree(folder)
