"""Programs that answer what the real scanners have answered once (recorded by ``record.py``)."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.agents.security.record import FOLDER


def trivy(folder: Path, report: str | Path = "trivy.json", code: int = 0, before: str = "") -> Path:
    """``before``: shell to be run first."""
    content = FOLDER / report if isinstance(report, str) else report
    return _program(
        folder / "trivy",
        f'{before}\nwhile [ "$#" -gt 0 ]; do [ "$1" != --output ] || out=$2; shift; done\n'
        f'cp {shlex.quote(str(content))} "$out"\nexit {code}\n',
    )


def snyk(folder: Path, report: str | Path, code: int, before: str = "") -> Path:
    """A folder like that of npm's package, whose program is one for a shell: start it with ``sh`` as its Node.js."""
    content = FOLDER / report if isinstance(report, str) else report
    _program(folder / "snyk/dist/cli/index.js", f"{before}\ncat {shlex.quote(str(content))}\nexit {code}\n")
    (folder / "snyk/package.json").write_text('{"version": "1.1307.4"}')
    return folder / "snyk"


def _program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)
    return path
