"""A small disk of its own, which can be filled up and freed again."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

FILLER = ".filler"
AGAIN = 0.05
"""Seconds between two looks whether something has been freed meanwhile, which is filled up at once."""


def may_mount() -> bool:
    """Whether a disk can be mounted here: that takes root, and not every container's root may."""
    if os.geteuid() != 0:
        return False
    done = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    return done.returncode == 0


class SmallDisk:
    """A tmpfs of ``size`` bytes at ``path``, mounted on the way in and gone on the way out."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._size = size
        self._over = threading.Event()
        self._filling: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self._size},mode=0700", "turnout-chaos", str(self.path)],
            check=True,
            capture_output=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free()
        # Lazily: a process that the test has failed to end must not keep the mount in the way.
        subprocess.run(["umount", "--lazy", str(self.path)], check=False, capture_output=True)

    def fill(self) -> None:
        """Returns when nothing more can be written; what others free is taken as well, until `free`."""
        self._over.clear()
        descriptor = os.open(self.path / FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _write_all(descriptor)

        def keep_full() -> None:
            while not self._over.wait(AGAIN):
                _write_all(descriptor)
            os.close(descriptor)

        self._filling = threading.Thread(target=keep_full, name="filler", daemon=True)
        self._filling.start()

    def free(self) -> None:
        self._over.set()
        if self._filling is not None:
            self._filling.join()
            self._filling = None
        (self.path / FILLER).unlink(missing_ok=True)


def _write_all(descriptor: int) -> None:
    piece = bytes(1 << 20)
    while piece:
        try:
            os.write(descriptor, piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            piece = piece[: len(piece) // 2] if len(piece) > 4096 else b""
