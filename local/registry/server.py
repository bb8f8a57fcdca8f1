"""docker-registry as a child process, for tests and demonstrations.

    with Registry() as registry:
        registry.address        # "127.0.0.1:41234": the first part of an image's name

Without TLS: loopback addresses need none. ``python -m local.registry.server --port 5000`` runs one until Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from local.server_process import LocalServer, ServerProcess, serve
from turnout.core.errors import PermanentError, TransientError

INSTALL = "make real-parts installs it"
PROGRAM = "docker-registry"

USER = "builder"
PASSWORD = "secret-of-the-builder"  # noqa: S105 — of a registry that nobody else reaches, gone after the test
_HASH = "$2b$04$oIxNWYwsFqlOThMy.aj0T.v7SOWBeSdQdwcdG6s5kbHq/bKeuJY.O"  # bcrypt, of PASSWORD

# Source: CNCF Distribution 2.8, "Configuring a registry".
_SETTINGS = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/images}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:{port}
  secret: of-one-process-only
"""
_GUARDED = "auth: {{htpasswd: {{realm: registry, path: {folder}/users}}}}\n"


def available() -> bool:
    """Whether a registry can be started here."""
    return shutil.which(PROGRAM) is not None


class Registry(LocalServer):
    """``guarded``: only `USER` with `PASSWORD` may read and write. ``folder``: kept over the end, with its images."""

    what = "the registry"

    def __init__(
        self, *, port: int = 0, folder: Path | None = None, guarded: bool = False, ready_within: float = 30
    ) -> None:
        super().__init__(port=port, folder=folder, ready_within=ready_within)
        self._guarded = guarded

    @property
    def address(self) -> str:
        """``host:port``, as it stands in front of the names of images."""
        return f"127.0.0.1:{self.port}"

    def _prepare(self) -> ServerProcess:
        program = shutil.which(PROGRAM)
        if program is None:
            raise PermanentError(f"{PROGRAM} is not installed", INSTALL)
        settings = _SETTINGS + (_GUARDED if self._guarded else "")
        file = self.folder / "config.yml"
        file.write_text(settings.format(folder=self.folder, port=self.port))
        if self._guarded:
            (self.folder / "users").write_text(f"{USER}:{_HASH}\n")
        return ServerProcess(
            name=self.what,
            argv=[program, "serve", str(file)],
            log=self.log,
            ready_line=f"listening on 127.0.0.1:{self.port}",
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")},
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m local.registry.server", description="Run a registry of images."
    )
    parser.add_argument("--port", type=int, default=5000, help="on 127.0.0.1; 0: any free one (default 5000)")
    parser.add_argument("--folder", type=Path, help="keep the images there (default: removed at the end)")
    given = parser.parse_args()
    server = Registry(port=given.port, folder=given.folder)
    serve(server, lambda: f"The registry listens on {server.address}; Ctrl-C stops it.")


if __name__ == "__main__":
    try:
        main()
    except (PermanentError, TransientError) as error:
        raise SystemExit(f"registry: {error}") from None
