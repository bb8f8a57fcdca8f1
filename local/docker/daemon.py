"""A real Docker Engine from the system's packages: its own data, socket and bridge; nothing of the machine's changes.

It makes no packet filter rules and switches no forwarding on: containers on its bridge reach this machine, and nothing
beyond it. As a command it serves until Ctrl-C: ``python -m local.docker.daemon``.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
from pathlib import Path

from local.server_process import LocalServer, ServerFailed, ServerProcess, serve
from turnout.core.errors import PermanentError, TransientError

INSTALL = "make real-parts installs it, and it runs as root only"
BRIDGES = ipaddress.ip_network("172.30.0.0/16")
_PROGRAMS = ("dockerd", "containerd", "ip", "iptables")


def available() -> bool:
    """Whether an engine can be started here."""
    return os.geteuid() == 0 and all(_where(each) for each in _PROGRAMS)


class Dockerd(LocalServer):
    """An engine with its default bridge at `address`, which containers reach this machine at."""

    what = "the Docker Engine"
    _within = "/tmp"  # noqa: S108 - a socket's path must be short

    def __init__(self, *, ready_within: float = 60) -> None:
        super().__init__(ready_within=ready_within)
        self._bridge = ""
        self.address = ""

    @property
    def host(self) -> str:
        """What ``DOCKER_HOST`` is to be."""
        return f"unix://{self.folder / 'docker.sock'}"

    @property
    def environ(self) -> dict[str, str]:
        """For programs that speak to it: theirs is its settings' folder, not that of the user."""
        return {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.folder / "client")}

    def close(self) -> None:
        """Stop it, containers and all, and remove its data and its bridge."""
        self.stop()
        if self._bridge:
            subprocess.run(["ip", "link", "delete", self._bridge], capture_output=True, check=False)
            self._bridge = ""
        if self._made is not None:
            _unmount_below(self._made)
        super().close()

    def _prepare(self) -> ServerProcess:
        if not available():
            raise PermanentError("no Docker Engine can be started here", INSTALL)
        folder = self.folder
        folder.chmod(0o711)
        (folder / "client").mkdir(exist_ok=True)
        self._make_bridge()
        return ServerProcess(
            name=self.what,
            argv=[
                _where("dockerd"),
                f"--data-root={folder / 'data'}",
                f"--exec-root={folder / 'exec'}",
                f"--pidfile={folder / 'pid'}",
                f"--host={self.host}",
                f"--bridge={self._bridge}",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
                "--ip-masq=false",
                "--group=root",
            ],
            log=self.log,
            ready_line="API listen on",
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        )

    def _make_bridge(self) -> None:
        """Raises: ServerFailed where no address is free."""
        if self._bridge:
            return
        shown = subprocess.run(["ip", "-o", "-4", "addr"], capture_output=True, text=True, check=True).stdout
        taken = {line.split()[3] for line in shown.splitlines()}
        for number in range(1, 255):
            address = f"{BRIDGES.network_address + 256 * number + 1}/24"
            name = f"turnout-d{number}"
            if address in taken or _ip("link", "add", name, "type", "bridge"):
                continue  # somebody else's
            self._bridge = name
            self.address = address.removesuffix("/24")
            problem = _ip("addr", "add", address, "dev", name) or _ip("link", "set", name, "up")
            if problem:
                raise ServerFailed(f"the bridge {name} could not be set up", problem)
            return
        raise ServerFailed(f"no bridge could be made in {BRIDGES}", "remove those that killed engines left")


def _ip(*arguments: str) -> str:
    """What went wrong; empty: nothing."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or "it failed"


def _where(program: str) -> str:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # a user's path may lack these
    return shutil.which(program, path=path) or ""


def _unmount_below(folder: Path) -> None:
    """What an engine that was killed left mounted."""
    points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((each for each in points if each.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def main() -> None:
    server = Dockerd()
    serve(
        server, lambda: f"The Docker Engine listens; Ctrl-C stops it.\nTo use it: DOCKER_HOST={server.host}"
    )


if __name__ == "__main__":
    try:
        main()
    except (PermanentError, TransientError) as error:
        raise SystemExit(f"docker: {error}") from None
