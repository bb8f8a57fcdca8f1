"""Whose turn it is to write, among the processes that share a SQLite file.

SQLite's own lock can only be tried again and again, and whoever tries most often gets it. Here the kernel wakes the
next one at once: two locks on files beside the database, the ``turn`` and, before it, the place of the ``next`` one, so
that a process that has just had its turn comes after one that waits. The kernel gives a dead process's locks back.

It is a courtesy on top of SQLite's lock, which alone protects the file. Where it does not come within `PATIENCE`, since
somebody was stopped while it was the next one, or where there are no such locks, one tries SQLite's as before.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from weakref import WeakSet

PATIENCE = 0.25
"""Seconds; a transaction takes a hundredth of it."""
WITHOUT = 1.0
"""Seconds that one does without turns after one did not come."""


class Turn:
    """Used by one thread at a time, but for `close`. Nothing is opened before the first `take`."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._files: tuple[int, int] | None = None  # next, turn
        self._impossible = False
        self._without_until = 0.0
        self._held = False
        self._fetching = False
        self._changed = threading.Condition()
        self._fetcher: threading.Thread | None = None
        self._wanted = False
        self._closed = False

    def take(self, wait: float) -> None:
        """Return when it is our turn, or after ``wait`` seconds or `PATIENCE` at most."""
        files = self._opened()
        if files is None or self._impossible or time.monotonic() < self._without_until:
            return
        if not self._fetching:
            try:
                if _tried(files[0]) and _tried(files[1]):
                    fcntl.flock(files[0], fcntl.LOCK_UN)
                    self._held = True
                    return
            except OSError:
                self._impossible = True
                return
        if not self._fetched(min(wait, PATIENCE)):
            self._without_until = time.monotonic() + WITHOUT

    def give(self) -> None:
        if self._held and self._files is not None:
            self._held = False
            fcntl.flock(self._files[1], fcntl.LOCK_UN)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if self._fetcher is None:
                self.leave()

    def leave(self) -> None:
        """Close the files: a process that was forked must not keep its parent's locks when that has died."""
        files, self._files = self._files, None
        for each in files or ():
            os.close(each)

    def _opened(self) -> tuple[int, int] | None:
        if self._files is None and not self._impossible and self._database.exists():
            opened: list[int] = []
            try:
                for name in ("next", "turn"):
                    path = self._database.with_name(f"{self._database.name}.{name}")
                    opened.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            except OSError:
                self._impossible = True
                for each in opened:
                    os.close(each)
                return None
            self._files = (opened[0], opened[1])
            _all.add(self)
        return self._files

    # --- waiting --------------------------------------------------------------------------------

    def _fetched(self, wait: float) -> bool:
        """The kernel's wait for such a lock knows no end: a thread of ours waits there, and we for the thread."""
        with self._changed:
            self._wanted = self._fetching = True
            if self._fetcher is None:
                self._fetcher = threading.Thread(target=self._fetch, name="turnout turn", daemon=True)
                self._fetcher.start()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._held or not self._fetching, wait)
            self._wanted = False
            return self._held

    def _fetch(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._fetching)
                files = self._files
                if self._closed or files is None:
                    self.leave()
                    return
            try:
                fcntl.flock(files[0], fcntl.LOCK_EX)
                fcntl.flock(files[1], fcntl.LOCK_EX)
                fcntl.flock(files[0], fcntl.LOCK_UN)
            except OSError:
                self._impossible = True
            with self._changed:
                self._held = self._wanted and not self._impossible
                if not self._held:  # whoever wanted it has given up
                    _let_go(files)
                self._fetching = False
                self._changed.notify_all()


_all: WeakSet[Turn] = WeakSet()


def _tried(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _let_go(files: tuple[int, int]) -> None:
    for each in files:
        try:
            fcntl.flock(each, fcntl.LOCK_UN)
        except OSError:
            pass  # there are no such locks here


def _after_fork() -> None:
    for each in _all:
        each.leave()


os.register_at_fork(after_in_child=_after_fork)
