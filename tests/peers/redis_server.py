"""Debian's Redis, with its own defaults, on a port of its own."""

from __future__ import annotations

import shutil

from local.server_process import LocalServer, ServerProcess
from tests.peers.place import INSTALL
from turnout.core.errors import PermanentError


def available() -> bool:
    return shutil.which("redis-server") is not None


class Redis(LocalServer):
    what = "Redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def _prepare(self) -> ServerProcess:
        program = shutil.which("redis-server")
        if program is None:
            raise PermanentError("redis-server is not installed", INSTALL)
        return ServerProcess(
            name=self.what,
            argv=[program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)],
            log=self.log,
            ready_line="Ready to accept connections",
        )
