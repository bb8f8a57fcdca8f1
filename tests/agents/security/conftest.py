"""The scanners as the project's scripts fetch them, and a database that knows what these tests plant."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.trivy.database import DEMO, Advisory, write
from tests.real import require

ROOT = Path(__file__).resolve().parents[3]

ADVISORIES = (
    *DEMO,
    Advisory(
        id="CVE-2020-8203",
        ecosystem="npm",
        package="lodash",
        vulnerable="<=4.17.20",
        fixed="",
        severity="MEDIUM",
        title="lodash: a prototype can be polluted",
    ),
)


@pytest.fixture(scope="session")
def scanners() -> Path:
    script = ROOT / "local/setup/scanners.sh"
    where = subprocess.run([script, "--where"], check=True, capture_output=True, text=True, env=os.environ)
    folder = Path(where.stdout.strip())
    require(
        "Trivy and Snyk",
        all((folder / each).exists() for each in ("trivy", "snyk")),
        "make real-parts fetches them",
    )
    return folder


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(tmp_path_factory.mktemp("trivy"), datetime.now(UTC), ADVISORIES)
    folder.chmod(0o755)  # tools are another user
    return folder


@pytest.fixture
def operator(scanners: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The agents' machine has Trivy, its database and Snyk."""
    monkeypatch.setenv("TURNOUT_TRIVY", str(scanners / "trivy"))
    monkeypatch.setenv("TURNOUT_TRIVY_DATABASE", str(database))
    monkeypatch.setenv("TURNOUT_SNYK", str(scanners / "snyk"))
    return scanners
