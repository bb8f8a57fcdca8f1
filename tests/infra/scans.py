"""checkov, as it is run over what configures Turnout: one command line, for what there is and for planted faults."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.places import ROOT
from tests.real import require

CONFIG = ROOT / ".checkov.yaml"
NOWHERE = "http://127.0.0.1:9"
"""A proxy that is not there: what is asked of the network fails at once."""


UNREADABLE = (
    (re.compile(r"^ +attestations: write\n", re.M), ""),
    (re.compile(r"^( +cancel-in-progress:) \$.*$", re.M), r"\1 true"),
)
"""What checkov's schema of workflows does not know yet. It leaves out a whole file for it, and says nothing."""


@dataclass(frozen=True)
class Finding:
    """``of``: the resource, as Terraform or Kubernetes calls it. ``why``: the reason of what is skipped."""

    check: str
    says: str
    file: str
    of: str
    why: str


@dataclass(frozen=True)
class Scan:
    passed: tuple[Finding, ...]
    failed: tuple[Finding, ...]
    skipped: tuple[Finding, ...]

    def files(self) -> set[str]:
        """What was understood, from the top of what was scanned."""
        return {each.file for each in (*self.passed, *self.failed, *self.skipped)}


def tree(into: Path) -> Path:
    """A copy of all that configures Turnout and is not ignored by git."""
    named = ("infra", "agents", "local/images", "local/compose", ".github", ":(glob)local/*")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *named],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.endswith(".py"):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, into / name)
            if name.startswith(".github/workflows/"):
                (into / name).write_text(_readable((ROOT / name).read_text()))
    return into


def scan(place: Path) -> Scan:
    """``place``: a folder, or the JSON of a plan."""
    where = subprocess.run(
        [ROOT / "local/setup/checkov.sh", "--where"], capture_output=True, text=True, check=True
    )
    program = Path(where.stdout.strip())
    require("checkov", program.exists(), "run `make real-parts`")
    what = ["--directory", str(place)] if place.is_dir() else ["--file", str(place)]
    done = subprocess.run(
        [program, *what, "--config-file", CONFIG, "--output", "json"],
        cwd=place if place.is_dir() else place.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "NO_PROXY": ""},
    )
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    kinds: list[dict[str, Any]] = found if isinstance(found, list) else [found]
    for each in kinds:
        assert each["results"]["parsing_errors"] == [], each["check_type"]
    passed, failed, skipped = (
        tuple(_finding(one) for each in kinds for one in each["results"][f"{what}_checks"])
        for what in ("passed", "failed", "skipped")
    )
    return Scan(passed, failed, skipped)


def _readable(workflow: str) -> str:
    for unknown, instead in UNREADABLE:
        workflow = unknown.sub(instead, workflow)
    return workflow


def _finding(one: dict[str, Any]) -> Finding:
    return Finding(
        one["check_id"],
        one["check_name"],
        one["file_path"].lstrip("/"),
        one["resource"],
        one["check_result"].get("suppress_comment", ""),
    )
