"""Wake-ups between the processes that share a SQLite file: one datagram socket a listener, in a folder beside the file.

A socket's name begins with a mask of what its listener waits for, so that only those concerned are woken. A socket
whose process is gone refuses datagrams, and whoever notices removes it.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Collection
from hashlib import sha256
from itertools import count
from pathlib import Path
from zlib import crc32

from turnout.adapters.store.link import Link
from turnout.core.errors import TransientError

SHORT_TMP = Path("/tmp")  # noqa: S108 — the folder in it is ours alone, mode 0700, and is checked to be
LONGEST_PATH = 100
"""Bytes; the kernel takes 107 (Linux) or 103 (macOS)."""
_LONGEST_NAME = len("0123456789abcdef-4194304-999999")
_SERIAL = count()
RUNG, WOKEN = b"!", b"w"


def mask(names: Collection[str]) -> int:
    """64 bits; names may share one, which only wakes somebody in vain."""
    found = 0
    for name in names:
        found |= 1 << (crc32(name.encode()) % 64)
    return found


def folder_for(database: Path) -> Path:
    """Beside the database; in the system's own temporary folder where the path would be too long for a socket."""
    beside = database.with_name(f"{database.name}.wake")
    if len(os.fsencode(beside)) + 1 + _LONGEST_NAME <= LONGEST_PATH:
        return beside
    digest = sha256(os.fsencode(os.path.realpath(database))).hexdigest()[:20]
    return SHORT_TMP / f"turnout-{os.geteuid()}-{digest}"


class SocketBell:
    def __init__(self, database: Path) -> None:
        self.folder = folder_for(database)

    def ring_within(self, link: Link, names: Collection[str]) -> None:
        """SQLite can't: `ring` does it after the commit."""

    def ring(self, names: Collection[str]) -> None:
        wanted = mask(names)
        try:
            concerned = [name for name in os.listdir(self.folder) if _mask_of(name) & wanted]
        except OSError:
            return  # nobody has ever listened
        if concerned:
            with _sender() as sender:
                for name in concerned:
                    _poke(sender, self.folder / name, RUNG)

    def listen(self, names: Collection[str]) -> SocketListener:
        for _ in range(10):
            self._make_folder()
            try:
                for name in os.listdir(self.folder):
                    self._sweep(self.folder / name)
                return SocketListener(self.folder / f"{mask(names):016x}-{os.getpid()}-{next(_SERIAL)}")
            except FileNotFoundError:
                continue  # the last listener has just left, and taken the folder with it
            except OSError as error:
                raise TransientError(
                    f"{self.folder}: {error.strerror}", "the file system of the database must take sockets"
                ) from error
        raise TransientError(f"{self.folder} vanishes again and again", "look what removes it")

    def _sweep(self, path: Path) -> None:
        """Remove the socket of a process that is gone."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                _remove(path)
            except OSError:
                return  # gone meanwhile, or not ours to judge

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            found = self.folder.lstat()
        except OSError as error:
            raise TransientError(
                f"{self.folder}: {error.strerror}", "waiting consumers need this folder: make it writable"
            ) from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise TransientError(
                f"{self.folder} is not a folder of this user alone",
                "remove it, or run as the user it belongs to",
            )


class SocketListener:
    """Raises: OSError when there can't be a socket at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._woken = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(str(path))
        except OSError:
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def clear(self) -> bool:
        rung = False
        while True:
            try:
                rung |= self._socket.recv(16) == RUNG
            except BlockingIOError:
                return rung

    def wait(self, timeout: float) -> bool:
        if not self._woken:
            self._poll.poll(max(timeout, 0) * 1000)
        woken, self._woken = self._woken, False
        return woken

    def wake(self) -> None:
        self._woken = True
        with _sender() as sender:
            _poke(sender, self._path, WOKEN)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._socket.close()
        try:
            self._path.parent.rmdir()
        except OSError:
            return  # others listen there


def _sender() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


def _poke(sender: socket.socket, path: Path, what: bytes) -> None:
    try:
        sender.sendto(what, str(path))
    except ConnectionRefusedError:
        _remove(path)  # its process is gone
    except OSError:
        return  # gone meanwhile, or its queue is full, and then it is awake anyway


def _remove(path: Path) -> None:
    try:
        if stat.S_ISSOCK(path.lstat().st_mode):  # other files refuse datagrams, too
            path.unlink()
    except OSError:
        return  # another was faster


def _mask_of(name: str) -> int:
    try:
        return int(name.split("-", 1)[0], 16)
    except ValueError:
        return 0
