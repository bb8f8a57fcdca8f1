"""Waking those who wait for records, across processes, so that nobody has to look again and again.

Whoever waits listens for the names of its topics, and of its group, whose members wake each other when they change.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from turnout.adapters.store.database import Database
from turnout.adapters.store.link import Link


class Listener(Protocol):
    """Used by one thread, but for `wake`. Hears what is rung from the moment on when it was made."""

    def clear(self) -> bool:
        """Forget what was rung so far: the caller is about to look for itself. False: nothing was, for certain."""
        ...

    def wait(self, timeout: float) -> bool:
        """Return when rung or woken since `clear`, or after ``timeout`` seconds. True: woken by `wake`."""
        ...

    def wake(self) -> None:
        """Make a `wait` under way, or the next one, return at once. From any thread."""
        ...

    def close(self) -> None: ...


class Bell(Protocol):
    """Thread-safe; both ways to ring never raise but for a connection's own errors."""

    def ring_within(self, link: Link, names: Collection[str]) -> None:
        """Ring when the transaction of ``link`` commits, if the database can do that."""
        ...

    def ring(self, names: Collection[str]) -> None:
        """Ring now, if the database could not do it at the commit."""
        ...

    def listen(self, names: Collection[str]) -> Listener:
        """Raises: TransientError."""
        ...


def bell_of(database: Database) -> Bell:
    if database.path is not None:
        from turnout.adapters.embedded_log.wake_sockets import SocketBell

        return SocketBell(database.path)
    from turnout.adapters.embedded_log.wake_postgres import NotifyBell

    return NotifyBell(database)


def group_name(group: str) -> str:
    """What the members of a group listen for beside their topics."""
    return f"group {group}"
