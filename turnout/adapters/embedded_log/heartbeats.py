"""One thread a process that says its members are alive, and notices when others are not.

It sleeps until a heartbeat is due, a member's process on this machine ends (the kernel tells), or the members change.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakSet

from turnout.adapters.embedded_log import groups
from turnout.adapters.embedded_log.process import watch
from turnout.adapters.embedded_log.wake import Bell, group_name
from turnout.adapters.store.database import Database
from turnout.adapters.store.instants import SECOND
from turnout.core.errors import TurnoutError

AGAIN = 1.0
"""Seconds until the next try when the database could not be asked."""


class Beating(Protocol):
    """A member of a group that lives in this process."""

    group: str
    session: str


class Heartbeats:
    """``timeout``: seconds of silence after which a member is given up; a heartbeat goes out three times as often."""

    def __init__(self, database: Database, bell: Bell, timeout: float) -> None:
        self.timeout = timeout
        self._database = database
        self._bell = bell
        self._lock = threading.Lock()
        self._members: WeakSet[Beating] = WeakSet()
        self._thread: _Beat | None = None

    def add(self, member: Beating) -> None:
        with self._lock:
            self._members.add(member)
            if self._thread is None:
                self._thread = _Beat(self)
                self._thread.start()
            else:
                self._thread.poke()

    def remove(self, member: Beating) -> None:
        """The thread ends with the last member."""
        with self._lock:
            self._members.discard(member)
            ended = self._thread if not self._members else None
            if ended is not None:
                self._thread = None
        if ended is not None:
            ended.stop()

    def members_changed(self) -> None:
        with self._lock:
            if self._thread is not None:
                self._thread.poke()

    def beat(self) -> None:
        """Say that ours are alive. Raises: TransientError."""
        sessions = [each.session for each in self._ours() if each.session]
        if sessions:
            with self._database.change() as link:
                groups.hear(link, sessions)

    def look(self) -> list[groups.Member]:
        """Give up the members of our groups that are gone; those that are left and not ours. Raises: TransientError."""
        ours = self._ours()
        names, sessions = {each.group for each in ours}, {each.session for each in ours}
        if not names:
            return []
        timeout = int(self.timeout * SECOND)
        with self._database.look() as link:
            at = groups.now(link)
            known = groups.members(link, names)
        for group in sorted({each.group for each in known if groups.gone(each, at, timeout)}):
            with self._database.change() as link:
                if groups.evict(link, group, timeout):
                    self._bell.ring_within(link, {group_name(group)})
            self._bell.ring({group_name(group)})
        return [each for each in known if each.session not in sessions]

    def _ours(self) -> list[Beating]:
        with self._lock:
            return list(self._members)


class _Beat(threading.Thread):
    def __init__(self, beats: Heartbeats) -> None:
        super().__init__(name="turnout heartbeats", daemon=True)
        self._beats = beats
        self._pid = os.getpid()
        self._ended = False
        self._own, self._others = socket.socketpair()
        self._own.setblocking(False)
        self._others.setblocking(False)
        self._watched: dict[int, int] = {}  # pid to descriptor

    def poke(self) -> None:
        try:
            self._others.send(b"p")
        except OSError:
            return  # full, and then it is awake anyway; or it has ended

    def stop(self) -> None:
        self._ended = True
        self.poke()
        if self is not threading.current_thread() and self._pid == os.getpid():
            self.join(5)

    def run(self) -> None:
        interval = self._beats.timeout / 3
        due = time.monotonic() + interval
        try:
            while not self._ended:
                wait = AGAIN
                try:
                    if time.monotonic() >= due:
                        self._beats.beat()
                        due = time.monotonic() + interval
                    self._watch(self._beats.look())
                    wait = due - time.monotonic()
                except TurnoutError:
                    pass  # whoever polls or commits hears of it; here it is only tried again
                self._sleep(wait)
        finally:
            self._watch([])
            self._own.close()
            self._others.close()

    def _sleep(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._own, select.POLLIN)
        for descriptor in self._watched.values():
            poll.register(descriptor, select.POLLIN)
        poll.poll(max(seconds, 0) * 1000)
        try:
            while self._own.recv(64):
                pass
        except BlockingIOError:
            return

    def _watch(self, others: Iterable[groups.Member]) -> None:
        wanted = {each.process.pid: each.process for each in others}
        for pid in self._watched.keys() - wanted.keys():
            os.close(self._watched.pop(pid))
        for pid in wanted.keys() - self._watched.keys():
            descriptor = watch(wanted[pid])
            if descriptor is not None:
                self._watched[pid] = descriptor
