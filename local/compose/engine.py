"""Docker Compose and the engine behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from turnout.core.errors import PermanentError

FILE = Path(__file__).resolve().parents[1] / "compose.yaml"
SOCKET = "/var/run/docker.sock"
_INSTALL = "install Docker Engine with its Compose plugin: https://docs.docker.com/engine/install/"
_ANSWERS_WITHIN = 20  # seconds


@dataclass(frozen=True)
class Compose:
    """One project. ``program``: of the first version or newer that knows all of the file. ``environ``: of the program.
    ``variables``: files of what the compose file asks for; later ones win. ``files``: besides the usual one."""

    program: Sequence[str]
    environ: Mapping[str, str]
    project: str
    variables: Sequence[Path] = ()
    files: Sequence[Path] = ()

    @property
    def command(self) -> list[str]:
        """What people can go on with by hand."""
        said = [*self.program, "--project-name", self.project]
        for each in self.variables:
            said += ["--env-file", str(each)]
        for each in (FILE, *self.files):
            said += ["--file", str(each)]
        return said

    def run(self, *arguments: str, within: float = 900) -> str:
        """What it printed; it talks to whoever started us. Raises: PermanentError."""
        done = subprocess.run(
            [*self.command, *arguments],
            env=dict(self.environ),
            stdout=subprocess.PIPE,
            text=True,
            timeout=within,
            check=False,
        )
        if done.returncode != 0:
            shown = " ".join(self.command)
            raise PermanentError(
                f"docker compose {arguments[0]} ended with status {done.returncode} (above: why)",
                f"to look closer: {shown} ps --all; {shown} logs",
            )
        return done.stdout


def find_program(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """`docker compose`, or `docker-compose` of version 2 or newer. Raises: PermanentError without it, or an engine."""
    path = environ.get("PATH")
    ways = [("docker", "compose"), ("docker-compose",)]
    found = next(
        (each for each in ways if shutil.which(each[0], path=path) and _version(each, environ) >= 2), None
    )
    if found is None:
        raise PermanentError("there is no Docker Compose here (version 2 or newer)", _INSTALL)
    try:
        # `ls` asks the engine
        asked = subprocess.run(
            [*found, "ls", "--quiet"],
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=_ANSWERS_WITHIN,
            check=False,
        )
        problem = asked.stderr.strip() if asked.returncode != 0 else ""
    except subprocess.TimeoutExpired:
        problem = f"it does not answer within {_ANSWERS_WITHIN} s"
    if problem:
        raise PermanentError(
            f"the Docker Engine can't be used: {problem.splitlines()[-1]}",
            "start it, and see that you may use it (DOCKER_HOST, the group docker)",
        )
    return found


def _version(program: Sequence[str], environ: Mapping[str, str]) -> int:
    """The first number of it; 0: it can't be run."""
    said = subprocess.run(
        [*program, "version", "--short"],
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=_ANSWERS_WITHIN,
        check=False,
    ).stdout.strip()
    first = said.removeprefix("v").partition(".")[0]
    return int(first) if first.isdecimal() else 0


def socket_and_group(environ: Mapping[str, str] = os.environ) -> tuple[str, int]:
    """The engine's socket as containers are given it, and the group that may use it. Raises: PermanentError."""
    host = environ.get("DOCKER_HOST", "") or f"unix://{SOCKET}"
    if not host.startswith("unix://"):
        raise PermanentError(
            f"DOCKER_HOST={host}: the stack's own launcher needs the engine's socket, on the engine's machine",
            "use an engine of this machine, or `turnout up` with the docker runtime (docs/runtimes-docker.md)",
        )
    path = host.removeprefix("unix://")
    if sys.platform != "linux":  # the engine is in a virtual machine, and its socket there
        return SOCKET, 0
    try:
        return path, Path(path).stat().st_gid
    except OSError as error:
        raise PermanentError(f"{path}: {error.strerror}", "start the Docker Engine") from error
