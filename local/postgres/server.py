"""A real PostgreSQL from the system's packages: its own data directory, a free port of loopback, a password.

As a command it serves until Ctrl-C: ``python -m local.postgres.server --port 5432``.
"""

from __future__ import annotations

import argparse
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from local.server_process import LocalServer, ServerFailed, ServerProcess, serve
from turnout.core.errors import PermanentError, TransientError

INSTALL = "make real-parts installs it"
ROLE = "turnout"
DEBIAN = Path("/usr/lib/postgresql")

# Small, and without the waits that only a power cut would need: SIGKILL loses nothing even so, because
# what was written is in the kernel's cache.
SETTINGS = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
shared_buffers = 32MB
fsync = off
full_page_writes = off
synchronous_commit = on
log_min_messages = warning
"""


def programs() -> Path | None:
    """The folder that holds initdb and postgres, the newest version's; None: there is none."""
    versions = sorted(
        (each for each in DEBIAN.glob("*/bin") if (each / "initdb").exists()),
        key=lambda each: float(each.parent.name),
        reverse=True,
    )
    if versions:
        return versions[0]
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def available() -> bool:
    """Whether a server can be started here."""
    return programs() is not None


def create_database(url: str, name: str) -> str:
    """Make an empty database on the server that ``url`` (``postgresql+psycopg://…``) names; its own URL."""
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{url.rsplit('/', 1)[0]}/{name}"


def drop_database(url: str, name: str) -> None:
    """Remove a database of the server that ``url`` names, connections and all; nothing where it is not."""
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _plain(url: str) -> str:
    """The URL as libpq knows it, without SQLAlchemy's driver name."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


class Postgres(LocalServer):
    """A server with one role and a password of its own.

    Run by root, it runs as the user ``postgres``, since it refuses to run as root.
    """

    what = "PostgreSQL"

    def __init__(self, *, port: int = 0, ready_within: float = 30) -> None:
        super().__init__(port=port, ready_within=ready_within)
        self._password = secrets.token_urlsafe(16)
        if os.geteuid() == 0:
            self._within = "/tmp"  # noqa: S108 — root's TMPDIR may be closed to the user postgres

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the server's first database."""
        return f"postgresql+psycopg://{ROLE}:{self._password}@127.0.0.1:{self.port}/postgres"

    def create_database(self, name: str) -> str:
        """Make an empty database; its URL."""
        return create_database(self.url, name)

    def drop_database(self, name: str) -> None:
        """Remove a database, its connections too."""
        drop_database(self.url, name)

    def _prepare(self) -> ServerProcess:
        found = programs()
        if found is None:
            raise PermanentError("PostgreSQL is not installed (no initdb found)", INSTALL)
        user = "postgres" if os.geteuid() == 0 else None
        folder = self.folder
        password = folder / "password"
        password.write_text(self._password)
        if user is not None:
            account = pwd.getpwnam(user)
            for each in (folder, password):
                os.chown(each, account.pw_uid, account.pw_gid)
        data = folder / "data"
        done = subprocess.run(
            [str(found / "initdb"), f"--pgdata={data}", f"--username={ROLE}", f"--pwfile={password}"]
            + ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"],
            capture_output=True,
            text=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd=folder,
            env=_environment(),
            check=False,
        )
        password.unlink()
        if done.returncode != 0:
            raise ServerFailed("initdb could not make a data directory", (done.stdout + done.stderr)[-2000:])
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"{SETTINGS}port = {self.port}\n")
        return ServerProcess(
            name=self.what,
            argv=[str(found / "postgres"), "-D", str(data)],
            log=self.log,
            ready_line="database system is ready to accept connections",
            stop_signal=signal.SIGINT,  # its "fast" shutdown: clients are sent away, nothing is lost
            user=user,
            cwd=folder,
            env=_environment(),
        )


def _environment() -> dict[str, str]:
    """Without our user's language and PG* settings: the log line that tells readiness must be English."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "TZ")}
    return {**kept, "LC_ALL": "C"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.postgres.server", description="Run PostgreSQL.")
    parser.add_argument("--port", type=int, default=5432, help="on 127.0.0.1; 0: any free (default 5432)")
    server = Postgres(port=parser.parse_args().port)
    serve(
        server,
        lambda: (
            f"PostgreSQL listens on 127.0.0.1:{server.port}; Ctrl-C stops it and removes its data.\n"
            f"To use it: TURNOUT_DATABASE_URL={server.create_database('turnout')} turnout up"
        ),
    )


if __name__ == "__main__":
    try:
        main()
    except (PermanentError, TransientError) as error:
        raise SystemExit(f"postgres: {error}") from None
